"""Settings: their schema, their flags, and where each value came from."""
