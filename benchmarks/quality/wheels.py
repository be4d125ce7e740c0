"""Model files that lie in installed packages, read without importing the packages."""

from importlib import metadata
from pathlib import Path


def content(distribution: str, path: str) -> bytes:
    """Read one file of an installed package. Raises PackageNotFoundError, FileNotFoundError."""
    return Path(str(metadata.distribution(distribution).locate_file(path))).read_bytes()
