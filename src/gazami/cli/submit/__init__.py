"""`gazami submit`: a build as a Job of a cluster."""
