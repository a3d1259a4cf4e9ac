"""Everything that is drawn: the only modules that print."""
