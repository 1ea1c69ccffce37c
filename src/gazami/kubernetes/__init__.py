"""Builds as Jobs of a Kubernetes cluster: manifests and what pods say are pure, ``cluster`` alone talks to an API server."""
