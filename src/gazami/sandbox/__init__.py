"""A process in a root: how a RUN step runs, isolated as well as this machine allows."""
