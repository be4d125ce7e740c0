"""The people whose voices are cloned, and those they may be mistaken for: speakers.toml as types."""

import tomllib
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Final, Literal

Part = Literal["listed", "heldout", "crowd"]
_TABLE: Final = Path(__file__).with_name("speakers.toml")


@dataclass(frozen=True)
class Speaker:
    """One person and the recordings of that person."""

    id: str
    part: Part
    package: str
    files: tuple[str, ...]  # globs under the package's root
    low: bool = False  # a low voice: compared with the low stock voice
    narrowband: bool = False  # telephone bandwidth, nothing over 4 kHz
    least_seconds: float = 0.3  # shorter files are beeps and breaths


def speakers() -> tuple[Speaker, ...]:
    """Return every speaker, in the order of the file."""
    table = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    return tuple(_speaker(identity, fields) for identity, fields in table.items())


def targets() -> list[Speaker]:
    """Return the speakers to clone: listed and held out in turn, so that any few of them hold both."""
    parts = [[one for one in speakers() if one.part == part] for part in ("listed", "heldout")]
    return [one for one in chain.from_iterable(zip_longest(*parts)) if one]


def _speaker(identity: str, fields: dict[str, object]) -> Speaker:
    files = fields.pop("files")
    globs = (files,) if isinstance(files, str) else tuple(files)  # type: ignore[arg-type]  # checked by use
    return Speaker(id=identity, files=globs, **fields)  # type: ignore[arg-type]  # a wrong field fails here, at once
