"""Output of the command line: lines, tables, progress on a terminal, and audio on stdout."""

import sys
import time
from collections.abc import Sequence
from typing import Final, Self

from voice_cloning_client.errors import InvalidInput

_REFRESH_S: Final = 0.1
_BAR: Final = 30  # characters
_CLEAR: Final = "\r\x1b[K"


def say(line: str) -> None:
    """Write a line to stderr."""
    if sys.stderr is not None:  # None if it is closed
        sys.stderr.write(f"{_printable(line)}\n")
        sys.stderr.flush()


def show(line: str) -> None:
    """Write a line to stdout."""
    if sys.stdout is not None:
        sys.stdout.write(f"{_printable(line)}\n")
        sys.stdout.flush()


def show_table(rows: Sequence[Sequence[str]]) -> None:
    """Write rows to stdout: in columns on a terminal, with tabs between the cells otherwise."""
    if sys.stdout is None or not sys.stdout.isatty():
        for row in rows:
            show("\t".join(row))
        return

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        show("  ".join(cells).rstrip())


def _printable(line: str) -> str:
    """Return a line without control characters, which a terminal would obey, and lone surrogates."""
    shown = "".join(char if char.isprintable() or char in "\t\n" else "\ufffd" for char in line)
    return shown.encode("utf-8", "replace").decode()


class Progress:
    """One line on stderr that is written again and again; nothing if stderr is not a terminal."""

    def __init__(self, label: str, *, shown: bool = True) -> None:
        """`label`: at the beginning of the line."""
        self._label = label
        self._shown = shown and sys.stderr is not None and sys.stderr.isatty()
        self._written_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def show(self, state: str, done: float | None = None) -> None:
        """Write the state, and a bar for the part that is done, 0 to 1."""
        now_s = time.monotonic()
        if not self._shown or now_s - self._written_s < _REFRESH_S:
            return

        self._written_s = now_s
        bar = ""
        if done is not None:
            full = round(min(1.0, max(0.0, done)) * _BAR)
            bar = f"[{'#' * full}{'.' * (_BAR - full)}] "
        sys.stderr.write(f"{_CLEAR}{self._label} {bar}{state}")
        sys.stderr.flush()


class AudioOut:
    """Audio on stdout, for a pipe to a player. Raises BrokenPipeError if the player has ended."""

    def __init__(self) -> None:
        """Raise InvalidInput if stdout is a terminal."""
        if sys.stdout is None:
            raise InvalidInput("stdout is closed; name a file with -o")
        if sys.stdout.isatty():
            raise InvalidInput(
                "stdout is a terminal; pipe the audio to a player, such as | ffplay -nodisp -autoexit -"
            )

    def write(self, content: bytes) -> None:
        """Write audio at once."""
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
