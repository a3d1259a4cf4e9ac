"""The activation store: a Zarr v3 group whose truth is `commit.json` (docs/formats.md)."""
