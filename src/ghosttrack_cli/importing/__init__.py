"""SAEs of other programs, checked on rows and put into the workspace."""
