"""Events → people and machines: log lines, JSON, a live view, the summary, excerpts of the Dockerfile."""
