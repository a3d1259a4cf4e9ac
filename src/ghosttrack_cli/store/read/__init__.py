"""Reading a store: rows, batches, verification."""
