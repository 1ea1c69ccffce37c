"""The report of a whole build: what happened when, as a document, and the page of it."""
