"""The files of a stage: the index of them, COPY and ADD on the index alone, unpacking and snapshots."""
