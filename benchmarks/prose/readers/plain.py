"""Plain text: paragraphs between empty lines, and the sayings of fortune."""

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

# R's CHARSXP in ASCII, then its length
_CHARACTER_STRING: Final = re.compile(rb"\x00\x04\x00\x09(.{4})", re.DOTALL)


def decoded(path: Path) -> str:
    """Return a file's text, unpacked if it is packed; Latin-1 if it is not UTF-8."""
    found = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        return found.decode("utf-8")
    except UnicodeDecodeError:
        return found.decode("latin-1")


def text(path: Path) -> Iterator[str]:
    """Yield the paragraphs between empty lines."""
    yield from re.split(r"\n[ \t]*\n", decoded(path))


def fortunes(path: Path) -> Iterator[str]:
    """Yield the sayings, each paragraph separately, without terminal escapes and without the sources below."""
    if path.suffix in {".dat", ".u8"}:
        return
    told = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", decoded(path))
    for saying in re.split(r"^%.*$", told, flags=re.MULTILINE):
        for paragraph in re.split(
            r"\n[ \t]*\n|\n(?=[ \t]*(?:--|—))|(?<=[.!?:;\"»”])\n(?=[ \t]{2,}\S)", saying
        ):
            yield re.sub(r"^\s*(?:--|—)\s*", "", paragraph)


def rdb(path: Path) -> Iterator[str]:
    """Yield the paragraphs of the lines in an R data base: a run of packed blocks, each a length and zlib."""
    packed = path.read_bytes()
    place = 0
    while (place := packed.find(b"\x78", place)) >= 0:
        try:
            unpacked = zlib.decompressobj().decompress(packed[place:])
        except zlib.error:
            place += 1
            continue
        yield from "\n".join(_strings(unpacked)).split("\n\n")
        place += 2


def _strings(serialized: bytes) -> Iterator[str]:
    for found in _CHARACTER_STRING.finditer(serialized):
        length = int.from_bytes(found[1], "big")
        if length < 1_000:
            yield serialized[found.end() : found.end() + length].decode("ascii", "replace")
