"""The rows of one layer, as training draws them."""
