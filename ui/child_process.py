"""Runs a program on an untrusted file in a separate process: a crash, hang or memory leak stays in there."""

import resource
import subprocess
import sys
from typing import Final

_PATIENCE_S: Final = 20.0
_MEMORY_BYTES: Final = 2 * 1024**3


class ChildFailed(Exception):
    """It ended badly, or not in time; `str` is what it wrote on stderr as its last line."""


def run_child(module: str, *arguments: str, given: bytes) -> bytes:
    """Run `python -m module` with these bytes on stdin and return its stdout. Raises ChildFailed."""
    try:
        child = subprocess.run(  # noqa: S603  # our own modules, by name
            [sys.executable, "-m", module, *arguments],
            input=given,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise ChildFailed from None
    except subprocess.CalledProcessError as error:
        raise ChildFailed(
            error.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        ) from None
    return child.stdout


def confine() -> None:
    """Bound this process; to be called first in a child."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (int(_PATIENCE_S), int(_PATIENCE_S)))
