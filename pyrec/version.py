"""The version of the installed distribution."""

from importlib import metadata


def version() -> str:
    """Return pyrec's version, or ``"not installed"`` when it is imported from a source tree."""
    try:
        return metadata.version("pyrec-graph")
    except metadata.PackageNotFoundError:
        return "not installed"
