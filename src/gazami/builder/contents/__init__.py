"""What an image holds: its files with the digests of their contents, how two images differ, what is kept in vain."""
