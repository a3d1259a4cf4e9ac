"""The page that shows all features: a folder that opens from file:// without a network."""
