"""Sparse autoencoders: weights, encoding, files."""
