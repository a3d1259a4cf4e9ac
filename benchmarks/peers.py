"""Which peers are here to be compared with."""

from importlib.metadata import PackageNotFoundError, version


def installed(name: str) -> str | None:
    """The version of a package, if it is there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
