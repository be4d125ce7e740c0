"""Debian packages without installing them: fetched by apt into a private cache, of which only the prose is stored.

apt is given its own folders for lists and archives, so neither root nor a changed system is needed.
"""

import os
import subprocess
import tarfile
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Final

from benchmarks.prose.sources import LOCALES, Source

_LARGEST: Final = 64_000_000  # bytes of one file


class SourceMissing(RuntimeError):
    """A package cannot be fetched here; the message contains the remedy."""


def cache_folder() -> Path:
    """Return the benchmark's own folder under XDG_CACHE_HOME; made if it is missing."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = home / "voice-cloning-pipeline" / "prose"
    for name in ("packages", "lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def fetch(wanted: Iterable[Source]) -> list[str]:
    """Fetch what the sources need and is not in the cache; return the names of the packages there are."""
    wanted = list(wanted)
    known = _known()
    names = sorted({name for source in wanted for name in source.packages if name in known})
    missing = [name for name in names if not folder_of(name).exists()]
    for begin in range(
        0, len(missing), 12
    ):  # few at a time, so that the archives take little disk space
        _download(missing[begin : begin + 12])
        for name in missing[begin : begin + 12]:
            _keep_prose(
                name,
                [
                    pattern
                    for source in wanted
                    if name in source.packages
                    for pattern in source.files
                ],
            )
    return names


def folder_of(package: str) -> Path:
    """Return the folder with a package's prose."""
    return cache_folder() / "packages" / package


def translations(locale: str) -> str:
    """Return the archive's translated descriptions in a locale; empty if there are none."""
    lists = cache_folder() / "lists"
    found = sorted(lists.glob(f"*_main_i18n_Translation-{locale.replace('_', '%5f')}*"))
    return "".join(_run([*_apt("apt-helper"), "cat-file", str(path)]) for path in found)


@cache
def _known() -> frozenset[str]:
    """Return the names of all packages, after fetching the archive's lists if there are none yet."""
    lists = cache_folder() / "lists"
    if not any(lists.glob("*_Packages*")):
        _run([*_apt("apt-get"), "update", "--quiet=2"])
    return frozenset(_run([*_apt("apt-cache"), "pkgnames"]).split())


def _apt(program: str) -> list[str]:
    """Return the first arguments of an apt command with private folders."""
    folder = cache_folder()
    languages = ",".join(dict.fromkeys(name for names in LOCALES.values() for name in names))
    options = {
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder,
        "Acquire::Languages": languages,
        "APT::Sandbox::User": "",
    }
    path = f"/usr/lib/apt/{program}" if program == "apt-helper" else program
    return [path, *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]


def _download(names: list[str]) -> None:
    folder = cache_folder() / "archives"
    if wanted := [name for name in names if not any(folder.glob(f"{name}_*.deb"))]:
        _run([*_apt("apt-get"), "download", "--quiet=2", *wanted], folder)


def _keep_prose(package: str, patterns: list[str]) -> None:
    """Unpack the files that match from a fetched package, then remove the package."""
    archive = next((cache_folder() / "archives").glob(f"{package}_*.deb"))
    partial = folder_of(package).with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    command = ["dpkg", "--fsys-tarfile", str(archive)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as members,
    ):
        for member in members:
            if member.isreg() and member.size <= _LARGEST and _matches(member.name, patterns):
                members.extract(member, partial, filter="data")
    archive.unlink()
    partial.rename(folder_of(package))


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name.removeprefix("./"), pattern) for pattern in patterns)


def _run(command: list[str], folder: Path | None = None) -> str:
    """Return what a command prints. Raises SourceMissing if it fails."""
    try:
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        name = Path(command[0]).name
        reason = detail.strip()[-300:]
        message = f"{name} failed ({reason}); it needs Debian 12's main archive, no root"
        raise SourceMissing(message) from error
    return done.stdout
