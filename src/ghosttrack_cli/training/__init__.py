"""One sparse autoencoder for each layer, from the rows of the store."""
