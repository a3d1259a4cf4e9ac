"""Text through the model into the store."""
