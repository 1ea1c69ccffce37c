"""Flags and what the process finds around it → a build request, a file for each group."""
