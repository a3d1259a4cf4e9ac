"""Writing a store: chunks, commits, repair."""
