"""What the features of an SAE mean: one pass over text, a report, and a browser for it."""
