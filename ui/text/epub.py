"""EPUB: the text of a book in its reading order, with marks at its headings. Pure.

No XML parser reads a file from outside: the tags are found by an HTML parser, which resolves no entities of a document.
"""

import io
import posixpath
import re
import zipfile
from html.parser import HTMLParser
from typing import Final, NamedTuple
from urllib.parse import unquote

from ui.text.headings import has_heading, marked, one_line, silent_heading, without_marks

_MOST_UNPACKED_BYTES: Final = 50_000_000
_HEADINGS: Final = frozenset(("h1", "h2", "h3"))
_BLOCKS: Final = _HEADINGS | frozenset(
    ("p", "div", "br", "li", "h4", "h5", "h6", "tr", "blockquote", "section")
)
_SILENT: Final = frozenset(("script", "style", "head", "svg", "nav"))
_NCX: Final = "application/x-dtbncx+xml"


class TooLarge(ValueError):
    """A book unpacks to too much."""


class EpubText(NamedTuple):
    """A book."""

    title: str  # empty: it has none
    text: str  # with marks at its headings


def read_book(content: bytes) -> EpubText:
    """Return a book, in the order of its spine (EPUB 3.3, 5.7). Raises BadZipFile, KeyError, ValueError.

    A part without a heading is the chapter that the table of contents has for it; this title is not spoken.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        if sum(entry.file_size for entry in book.infolist()) > _MOST_UNPACKED_BYTES:
            raise TooLarge("it is too large")
        path = _tags(_document(book, "META-INF/container.xml"), "rootfile")[0]["full-path"]
        package = _document(book, path)
        folder = posixpath.dirname(path)
        items = {item["id"]: item for item in _tags(package, "item")}
        listed = _listed(book, items, folder)
        parts = [
            posixpath.join(folder, unquote(items[reference["idref"]]["href"]))
            for reference in _tags(package, "itemref")
        ]
        texts = [_part(_document(book, part), listed.get(part, "")) for part in parts]
        return EpubText(_book_title(package), "\n\n".join(texts))


def _document(book: zipfile.ZipFile, path: str) -> str:
    return book.read(path).decode("utf-8", errors="replace")


def _listed(book: zipfile.ZipFile, items: dict[str, dict[str, str]], folder: str) -> dict[str, str]:
    """Return path -> the first title that the table of contents has for it (EPUB 3.3, 7; NCX of EPUB 2)."""
    titles: dict[str, str] = {}
    for item in items.values():
        if "nav" not in item.get("properties", "").split() and item.get("media-type") != _NCX:
            continue
        path = posixpath.join(folder, unquote(item["href"]))
        if path not in book.NameToInfo:
            continue
        contents = _Contents()
        contents.feed(_document(book, path))
        for href, title in contents.entries:
            target = posixpath.join(posixpath.dirname(path), unquote(href.partition("#")[0]))
            titles.setdefault(posixpath.normpath(target), title)
    return titles


def _part(document: str, title: str) -> str:
    """Return the visible text of a part of the book, with a mark for each of its headings or for its title."""
    parser = _Visible()
    parser.feed(document)
    text = re.sub(r"\s*\n\s*\n\s*", "\n\n", "".join(parser.parts)).strip()
    return text if not title or not text or has_heading(text) else silent_heading(title) + text


def _book_title(package: str) -> str:
    parser = _Texts("title")
    parser.feed(package)
    return next((title for title in map(one_line, parser.found) if title), "")


def _tags(document: str, wanted: str) -> list[dict[str, str]]:
    """Return the attributes of every element of this name."""
    parser = _Tags(wanted)
    parser.feed(document)
    return parser.found


class _Tags(HTMLParser):
    def __init__(self, wanted: str) -> None:
        super().__init__()
        self.wanted = wanted
        self.found: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag.rpartition(":")[2] == self.wanted:
            self.found.append({name: value or "" for name, value in attrs})


class _Texts(HTMLParser):
    """The texts of all elements of one name, without their namespace."""

    def __init__(self, wanted: str) -> None:
        super().__init__()
        self.wanted = wanted
        self.found: list[str] = []
        self.open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag.rpartition(":")[2] == self.wanted:
            self.open = True
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag.rpartition(":")[2] == self.wanted:
            self.open = False

    def handle_data(self, data: str) -> None:
        if self.open:
            self.found[-1] += data


class _Contents(HTMLParser):
    """The entries of a table of contents: links of a `nav`, or `text` and `content` of an NCX."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[str, str]] = []
        self.href = ""
        self.words = ""
        self.contents = (
            False  # in the `nav` of the table of contents, and not in that of pages or landmarks
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "nav":
            self.contents = "toc" in values.get("epub:type", "toc").split()
        elif tag == "content":
            self._add(values.get("src", ""))
        if tag in ("a", "text"):
            self.words = ""
            self.href = values.get("href", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self.contents:
            self._add(self.href)
        elif tag == "nav":
            self.contents = False

    def handle_data(self, data: str) -> None:
        self.words += data

    def _add(self, href: str) -> None:
        title = one_line(without_marks(self.words))
        if href and title:
            self.entries.append((href, title))
        self.words = ""


class _Visible(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.silent = 0
        self.heading: int | None = None  # index of the part where a heading begins

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.silent += tag in _SILENT
        if tag in _BLOCKS:
            self.parts.append("\n\n")
        if tag in _HEADINGS and not self.silent:
            self.heading = len(self.parts)

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in _SILENT
        if tag in _HEADINGS and self.heading is not None:
            heading = "".join(self.parts[self.heading :]).strip()
            self.parts[self.heading :] = [marked(heading)] if heading else []
            self.heading = None
        if tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(re.sub(r"\s+", " ", without_marks(data)))
