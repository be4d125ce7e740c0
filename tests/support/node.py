"""Node and its packages, for clients in JavaScript. `./task setup:node` installs Node where it is missing."""

import asyncio
import fcntl
import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_OWN: Final = ROOT / ".venv-node" / "bin"
_CACHE: Final = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voice-cloning-node"
)


def program(name: str) -> str:
    """Return the path of `node` or `npm`. Raises FileNotFoundError with what to install."""
    found = shutil.which(name, path=_OWN) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"these tests need {name}: ./task setup:node")
    return found


def environment() -> dict[str, str]:
    """Return an environment in which npm finds node."""
    return os.environ | {"PATH": f"{_OWN}{os.pathsep}{os.environ['PATH']}"}


async def installed(project: Path) -> Path:
    """Return a folder with the project's locked packages, installed there once.

    The files of the project are copied there, as Node looks for packages next to the program.
    """
    lock = (project / "package-lock.json").read_bytes()
    folder = _CACHE / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)

    with (folder / "lock").open("w") as held:
        await asyncio.to_thread(fcntl.flock, held, fcntl.LOCK_EX)
        for path in (*project.glob("*.json"), *project.glob("*.mjs")):
            shutil.copy(path, folder)
        complete = folder / "complete"
        if not complete.exists():
            await _install(folder)
            complete.touch()
    return folder


async def _install(folder: Path) -> None:
    npm = await asyncio.create_subprocess_exec(
        *(program("npm"), "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"),
        cwd=folder,
        env=environment(),
    )
    assert await asyncio.wait_for(npm.wait(), 300) == 0
