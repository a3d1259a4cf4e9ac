"""Where the rows to interpret come from: the store, or texts."""
