"""GhostTrack: sparse features of a language model's residual stream."""

from ghosttrack_cli._version import __version__

__all__ = ["__version__"]
