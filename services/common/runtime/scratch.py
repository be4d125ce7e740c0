"""A temporary folder that is removed at the end of the program, and by the next one where this one was killed.

A lock on a file in the folder marks its program as alive: the kernel releases it, however the program ends, and it
is valid in every container that shares the folder.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_LOCK: Final = "in-use"


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Yield an empty private folder; removes folders with this prefix whose program has exited."""
    remove_abandoned(prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    lock = _locked_from_birth(folder)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


def remove_abandoned(prefix: str) -> None:
    """Remove this user's folders with this prefix that no running program has locked."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(
            OSError
        ):  # it is in use, another program removes it, or it is not one of these folders
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
            finally:
                os.close(lock)


def _remove(folder: Path) -> None:
    """Remove a folder, its lock last, so that the next program can finish an interrupted removal."""
    for inside in folder.iterdir():
        if inside.is_dir() and not inside.is_symlink():
            shutil.rmtree(inside, ignore_errors=True)
        elif inside.name != _LOCK:
            inside.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _locked_from_birth(folder: Path) -> int:
    """Return the descriptor of the folder's lock, which gets its name only once it is locked."""
    unnamed = folder / f"{_LOCK}.new"
    lock = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(folder / _LOCK)
    return lock
