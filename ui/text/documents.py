"""Extracts text from an uploaded .txt, .md, .pdf or .epub, in a separate process.

`python -m ui.text.documents pdf` reads a file on stdin and writes its text to stdout.
"""

import io
import posixpath
import re
import sys
import zipfile
from html.parser import HTMLParser
from typing import Final
from urllib.parse import unquote

from pypdf import PdfReader
from pypdf.errors import FileNotDecryptedError, PyPdfError

from ui.child_process import ChildFailed, confine, run_child
from ui.errors import DOCUMENT_REASONS as REASONS
from ui.errors import BadDocument

KINDS: Final = ("txt", "md", "pdf", "epub")
_MOST_UNPACKED_BYTES: Final = 50_000_000
_BLOCKS: Final = frozenset(
    ("p", "div", "br", "li", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "blockquote", "section")
)
_SILENT: Final = frozenset(("script", "style", "head", "svg", "nav"))


class TooLarge(ValueError):
    """A book unpacks to too much."""


def read_document(name: str, content: bytes) -> str:
    """Return the text of a file, by the ending of its name. Raises BadDocument."""
    kind = name.rpartition(".")[2].lower()
    if kind not in KINDS:
        raise BadDocument("unreadable")
    try:
        text = run_child("ui.text.documents", kind, given=content).decode("utf-8")
    except ChildFailed as failed:
        reason = str(failed)
        raise BadDocument(reason if reason in REASONS else "unreadable") from None
    if not text.strip():
        raise BadDocument("empty")
    return text


def plain(content: bytes) -> str:
    """Return a text file's text: UTF-8, or UTF-16 with its mark, or else as Windows writes Western Europe."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def markdown(content: bytes) -> str:
    """Return a Markdown file as one would read it aloud: without its marks, pictures, code and addresses."""
    text = re.sub(r"^(```|~~~).*?^\1\s*$", "", plain(content), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"!\[[^\]\n]*\]\([^)\n]*\)", "", text)
    text = re.sub(r"\[([^\]\n]*)\]\([^)\n]*\)", r"\1", text)
    text = re.sub(r"^\s{0,3}(#{1,6}|>|[-*+]|\d{1,3}\.)\s+", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*([-*_]\s*){3,}$", "", text, flags=re.MULTILINE)
    return re.sub(r"(\*\*|__|`|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w))", "", text)


def pdf(content: bytes) -> str:
    """Return a PDF's text, its lines joined to paragraphs. Raises PyPdfError, ValueError."""
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
    text = "\n\n".join(pages)
    text = re.sub(r"(?<=\w)-\n(?=\w)", "", text)  # a word that was divided at a line's end
    return re.sub(r"(?<![.!?:»”\"\n])\n(?!\n)", " ", text)


def epub(content: bytes) -> str:
    """Return a book's text in its reading order, the spine (EPUB 3.3, 5.7). Raises BadZipFile, KeyError, ValueError."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        if sum(entry.file_size for entry in book.infolist()) > _MOST_UNPACKED_BYTES:
            raise TooLarge("it is too large")
        package = _tags(book.read("META-INF/container.xml"), "rootfile")[0]["full-path"]
        spine, folder = book.read(package), posixpath.dirname(package)
        hrefs = {item["id"]: item["href"] for item in _tags(spine, "item")}
        parts = [hrefs[reference["idref"]] for reference in _tags(spine, "itemref")]
        return "\n\n".join(
            _visible(book.read(posixpath.join(folder, unquote(part)))) for part in parts
        )


class _Tags(HTMLParser):
    def __init__(self, wanted: str) -> None:
        super().__init__()
        self.wanted = wanted
        self.found: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag.rpartition(":")[2] == self.wanted:
            self.found.append({name: value or "" for name, value in attrs})


def _tags(document: bytes, wanted: str) -> list[dict[str, str]]:
    """Return the attributes of every element of this name; no XML parser sees a file from outside."""
    parser = _Tags(wanted)
    parser.feed(document.decode("utf-8", errors="replace"))
    return parser.found


class _Visible(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.silent += tag in _SILENT
        if tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in _SILENT
        if tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.parts.append(re.sub(r"\s+", " ", data))


def _visible(document: bytes) -> str:
    parser = _Visible()
    parser.feed(document.decode("utf-8", errors="replace"))
    return re.sub(r"\s*\n\s*\n\s*", "\n\n", "".join(parser.parts)).strip()


_READERS: Final = {"txt": plain, "md": markdown, "pdf": pdf, "epub": epub}


def main() -> None:
    """Read stdin to stdout; status 1 and the reason on stderr where that cannot be done."""
    confine()
    try:
        text = _READERS[sys.argv[1]](sys.stdin.buffer.read())
    except FileNotDecryptedError:
        sys.exit("protected")
    except TooLarge:
        sys.exit("large")
    except (
        PyPdfError,
        zipfile.BadZipFile,
        KeyError,
        IndexError,
        ValueError,
        NotImplementedError,
    ):
        sys.exit("unreadable")
    sys.stdout.buffer.write(text.encode("utf-8", errors="replace"))


if __name__ == "__main__":
    main()
