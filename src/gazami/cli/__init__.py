"""argv and environ → BuildRequest, and the process around a build: signals, exit status, help."""
