"""The language model: where it lies, what it is, and the residual stream of its blocks."""
