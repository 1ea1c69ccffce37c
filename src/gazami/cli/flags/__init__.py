"""The table of flags, and how words become values: pure but for the variables that are handed in."""
