"""The fork server and what runs in a root. Standard library only: a step's interpreter may be without anything else."""
