"""Message catalogues of programs: gettext's .mo, Qt's .qm, Mozilla's language packs, Debian's descriptions."""

import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.prose.readers.markup import blocks
from benchmarks.prose.readers.plain import decoded

_PLACEHOLDER: Final = re.compile(
    r"%[-+ #0-9.*$]*[a-zA-Z(@]|%[0-9L{<]|\{[^}]*\}|\$\w|\$\{|\\[a-z]|&[a-zA-Z]+;|(?<!\w)[_&~]\w|\w[_~]\w|@\w|\|"
)
_MO_MAGIC: Final = bytes.fromhex("de120495")
_QM_MAGIC: Final = bytes.fromhex("3cb86418caef9c95cd211cbf60a1bddd")
_QM_MESSAGES: Final = 0x69
_QM_TRANSLATION: Final = 3
_QM_FIXED: Final = {
    5: 4
}  # tags with a field of so many bytes; all others but the end have a length


def sentences(message: str) -> Iterator[str]:
    """Yield the lines of a message that read as sentences: six words at least, an end, nothing to be filled in."""
    for block in blocks(message) if "<" in message else [message]:
        for line in re.split(r"\n\s*\n|\n(?=\s*[-*•])|\\n", block):
            if not _PLACEHOLDER.search(line) and re.search(
                r"[.!?。！？।؟…]['\"»”’)）」]*\s*$", line
            ):
                yield line


def mo(path: Path) -> Iterator[str]:
    """Yield the sentences of a gettext catalogue, in the order of the original messages."""
    packed = path.read_bytes()
    order = "<" if packed[:4] == _MO_MAGIC else ">"
    count, _, table = struct.unpack_from(f"{order}3I", packed, 8)
    for number in range(1, count):  # the first is the catalogue's own head
        length, place = struct.unpack_from(f"{order}2I", packed, table + 8 * number)
        for message in packed[place : place + length].split(b"\0"):  # the forms of a plural
            yield from sentences(message.decode("utf-8", "replace"))


def qm(path: Path) -> Iterator[str]:
    """Yield the sentences of a Qt catalogue; a page of HTML is read as one."""
    packed = path.read_bytes()
    if not packed.startswith(_QM_MAGIC):
        yield from blocks(decoded(path))
        return
    for message in _qm_messages(_qm_section(packed)):
        yield from sentences(message)


def _qm_section(packed: bytes) -> bytes:
    place = len(_QM_MAGIC)
    while place + 5 <= len(packed):
        tag, length = struct.unpack_from(">BI", packed, place)
        if tag == _QM_MESSAGES:
            return packed[place + 5 : place + 5 + length]
        place += 5 + length
    return b""


def _qm_messages(section: bytes) -> Iterator[str]:
    place = 0
    while place < len(section):
        tag = section[place]
        place += 1
        if tag in (1, 0):
            continue
        if tag in _QM_FIXED:
            place += _QM_FIXED[tag]
            continue
        (length,) = struct.unpack_from(">I", section, place)
        place += 4
        if length == 0xFFFFFFFF:
            continue
        if tag == _QM_TRANSLATION:
            yield section[place : place + length].decode("utf-16-be", "replace")
        place += length


def xpi(path: Path) -> Iterator[str]:
    """Yield the sentences of a Mozilla language pack."""
    with zipfile.ZipFile(path) as pack:
        for name in sorted(pack.namelist()):
            if name.endswith((".ftl", ".properties", ".dtd")):
                for line in pack.read(name).decode("utf-8", "replace").splitlines():
                    if found := re.search(r'^\s*[.\w-]+ ?= ?(.+)$|<!ENTITY \S+ "(.+)">', line):
                        yield from sentences(found[1] or found[2])


def descriptions(index: str) -> Iterator[str]:
    """Yield the paragraphs of an archive's translated descriptions."""
    for stanza in index.split("\n\n"):
        found = re.search(
            r"^Description-(?!md5)\S+:[^\n]*\n((?: [^\n]*(?:\n|$))*)", stanza, re.MULTILINE
        )
        lines = [line[1:] for line in found[1].splitlines()] if found else []
        yield from _paragraphs(lines)


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """Yield the paragraphs of one description: a line that begins with a blank or a dash is an entry of a list."""
    text: list[str] = []
    for line in lines:
        if line.strip() == "." or line.startswith((" ", "-", "*")):
            yield " ".join(text)
            text = []
        if line.strip() != ".":
            text.append(line)
    yield " ".join(text)
