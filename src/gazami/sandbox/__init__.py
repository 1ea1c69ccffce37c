"""A process in a root: how a RUN step runs, isolated as far as the place allows."""
