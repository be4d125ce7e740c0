"""Extracts title, chapters and text from an uploaded .txt, .md, .pdf or .epub, in a separate process.

`python -m ui.text.documents pdf` reads a file on stdin and writes its document as JSON to stdout.
"""

import io
import json
import re
import sys
import zipfile
from typing import Final, NamedTuple

from pypdf import PdfReader
from pypdf.errors import FileNotDecryptedError, PyPdfError

from ui.child_process import ChildFailed, confine, run_child
from ui.errors import DOCUMENT_REASONS as REASONS
from ui.errors import BadDocument
from ui.text.epub import TooLarge, read_book
from ui.text.headings import Heading, marked, one_line, split_headings, without_marks

KINDS: Final = ("txt", "md", "pdf", "epub")
_HEADING: Final = re.compile(r"^ {0,3}#{1,3}[ \t]+(.*?)[ \t#]*$", re.MULTILINE)


class TextDocument(NamedTuple):
    """The part of a file that is read aloud, and its title."""

    text: str
    title: str = ""  # empty: it names none
    chapters: tuple[Heading, ...] = ()  # its headings, in order


def read_document(name: str, content: bytes) -> TextDocument:
    """Return the document in a file, by the ending of its name; its title is the name if it has none.

    Raises BadDocument.
    """
    stem, _, ending = name.rpartition(".")
    kind = ending.lower()
    if kind not in KINDS:
        raise BadDocument("unreadable")
    try:
        text, title, chapters = json.loads(run_child("ui.text.documents", kind, given=content))
    except ChildFailed as failed:
        reason = str(failed)
        raise BadDocument(reason if reason in REASONS else "unreadable") from None
    if not text.strip():
        raise BadDocument("empty")
    return TextDocument(text, title or one_line(stem), tuple(Heading(*each) for each in chapters))


def plain(content: bytes) -> str:
    """Return a text file's text: UTF-8, or UTF-16 with its mark, or else as Windows writes Western Europe."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def markdown(content: bytes) -> TextDocument:
    """Return a Markdown file as one would read it aloud: without its marks, pictures, code and addresses."""
    text = without_marks(plain(content))
    text = re.sub(r"^(```|~~~).*?^\1\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"!\[[^\]\n]*\]\([^)\n]*\)", "", text)
    text = re.sub(r"\[([^\]\n]*)\]\([^)\n]*\)", r"\1", text)
    text = _HEADING.sub(lambda found: marked(found[1]), text)
    text = re.sub(r"^\s{0,3}(#{1,6}|>|[-*+]|\d{1,3}\.)\s+", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*([-*_]\s*){3,}$", "", text, flags=re.MULTILINE)
    text = re.sub(r"(\*\*|__|`|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w))", "", text)
    text, chapters = split_headings(text)
    return TextDocument(text, chapters=chapters)


def pdf(content: bytes) -> str:
    """Return a PDF's text, its lines joined to paragraphs. Raises PyPdfError, ValueError."""
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
    text = "\n\n".join(pages)
    text = re.sub(r"(?<=\w)-\n(?=\w)", "", text)  # a word that was divided at a line's end
    return re.sub(r"(?<![.!?:»”\"\n])\n(?!\n)", " ", text)


def epub(content: bytes) -> TextDocument:
    """Return a book. Raises BadZipFile, KeyError, ValueError."""
    book = read_book(content)
    text, chapters = split_headings(book.text)
    return TextDocument(text, book.title, chapters)


_READERS: Final = {
    "txt": lambda content: TextDocument(plain(content)),
    "md": markdown,
    "pdf": lambda content: TextDocument(pdf(content)),
    "epub": epub,
}


def main() -> None:
    """Read stdin to stdout; status 1 and the reason on stderr where that cannot be done."""
    confine()
    try:
        document = _READERS[sys.argv[1]](sys.stdin.buffer.read())
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
    # half a surrogate pair, as a broken PDF has it, becomes `?`: offsets stay
    sys.stdout.buffer.write(json.dumps(document, ensure_ascii=False).encode(errors="replace"))


if __name__ == "__main__":
    main()
