"""How a store lies on disk: arrays, commit, checksums."""
