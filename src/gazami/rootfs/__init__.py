"""The files of a stage: the tree of them, COPY and ADD on the tree alone, unpacking and snapshots."""
