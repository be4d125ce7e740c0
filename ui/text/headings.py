"""Headings in the text of a document, which become its chapters. Pure."""

import re
from typing import Final, NamedTuple

# Private-use characters around a heading while a document is converted, as its offset is not known before.
_BEGIN: Final = "\ue000"
_END: Final = "\ue001"
_SILENT: Final = "\ue002"  # before the end of a heading that is not in the text
_MARKS: Final = re.compile(f"[{_BEGIN}{_END}{_SILENT}]")
_HEADING: Final = re.compile(f"{_BEGIN}([^{_BEGIN}{_END}{_SILENT}]*)({_SILENT}?){_END}")
MOST_CHAPTERS: Final = 500  # of the service
_TITLE_CHARACTERS: Final = 200  # of the service


class Heading(NamedTuple):
    """A title and where it begins in the text, in code points."""

    title: str
    start: int


def without_marks(text: str) -> str:
    """Return a source text without the characters that mark headings."""
    return _MARKS.sub("", text)


def marked(heading: str) -> str:
    """Return a heading with its marks."""
    return f"{_BEGIN}{heading}{_END}"


def silent_heading(title: str) -> str:
    """Return the mark of a chapter whose title is not in the text."""
    return f"{_BEGIN}{title}{_SILENT}{_END}"


def has_heading(text: str) -> bool:
    """Return whether a text with marks has a heading with words."""
    return any(one_line(found[1]) for found in _HEADING.finditer(text))


def split_headings(text: str) -> tuple[str, tuple[Heading, ...]]:
    """Return a text without the marks of its headings, and its first 500 headings."""
    chapters: list[Heading] = []
    parts: list[str] = []
    length = 0
    done = 0

    for found in _HEADING.finditer(text):
        before = without_marks(text[done : found.start()])
        length += len(before)
        title = one_line(found[1])
        if title and (not chapters or chapters[-1].start < length):
            chapters.append(Heading(title, length))
        words = "" if found[2] else found[1]
        length += len(words)
        parts += (before, words)
        done = found.end()

    return "".join([*parts, without_marks(text[done:])]), tuple(chapters[:MOST_CHAPTERS])


def one_line(title: str) -> str:
    """Return a title as one line, at most as long as the service takes it."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", title).split())[:_TITLE_CHARACTERS].rstrip()
