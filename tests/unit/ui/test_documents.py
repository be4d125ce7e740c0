"""Text out of documents."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.errors import BadDocument
from ui.text.documents import epub, markdown, plain, read_document


def book(chapters: dict[str, str], spine: list[str]) -> bytes:
    """Return an EPUB."""
    items = "".join(f'<item id="{name}" href="text/{name}%20x.xhtml"/>' for name in chapters)
    order = "".join(f'<itemref idref="{name}"/>' for name in spine)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(
            "META-INF/container.xml", '<container><rootfile full-path="OPS/book.opf"/></container>'
        )
        file.writestr(
            "OPS/book.opf",
            f"<opf:package><opf:manifest>{items}</opf:manifest><spine>{order}</spine>",
        )
        for name, body in chapters.items():
            file.writestr(
                f"OPS/text/{name} x.xhtml",
                f"<html><head><title>no</title></head><body>{body}</body></html>",
            )
    return content.getvalue()


def pdf(line: str) -> bytes:
    """Return a PDF of one page with one line."""
    drawing = f"BT /F1 12 Tf 72 720 Td ({line}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(drawing), drawing),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    content, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj\n%b\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(content)
    return content + b"xref\n0 6\n0000000000 65535 f \n" + table + end


def test_a_book_is_read_in_the_order_of_its_spine_without_what_is_not_shown() -> None:
    chapters = {
        "one": "<h1>First</h1><p>a  b</p><script>x</script>",
        "two": "<p>Second &amp; last</p>",
    }
    assert epub(book(chapters, ["two", "one"])) == "Second & last\n\nFirst\n\na b"


def test_a_pdf_is_read_in_a_separate_process() -> None:
    assert read_document("Book.PDF", pdf("Hello, dear reader.")).strip() == "Hello, dear reader."


def test_marks_are_not_read_aloud() -> None:
    text = "# Title\n\nSome *fine* **words** with a [link](https://x.org) and `code`.\n\n- one\n- snake_case\n\n---\n"
    text += "```\nx\n```\n"
    read = markdown(text.encode())
    assert read.split() == [
        "Title",
        "Some",
        "fine",
        "words",
        "with",
        "a",
        "link",
        "and",
        "code.",
        "one",
        "snake_case",
    ]


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_text_file_is_read_however_it_is_written(coding: str) -> None:
    assert plain("déjà vu".encode(coding)) == "déjà vu"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.pdf", b"no", "document_unreadable"),
        ("a.epub", b"no", "document_unreadable"),
        ("a.epub", book({}, ["gone"]), "document_unreadable"),
        ("a.doc", b"", "document_unreadable"),
        ("a.txt", b" ", "document_empty"),
    ],
)
def test_an_unreadable_document_is_refused_with_the_reason(
    name: str, content: bytes, code: str
) -> None:
    with pytest.raises(BadDocument) as refused:
        read_document(name, content)
    assert refused.value.code == code
    assert str(refused.value) == "", "no words of a program for users"


def test_a_book_that_unpacks_to_too_much_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(60_000_000))
    with pytest.raises(ValueError, match="too large"):
        epub(content.getvalue())


@given(st.binary(max_size=300))
def test_any_bytes_are_some_text(content: bytes) -> None:
    assert isinstance(plain(content), str)
    assert isinstance(markdown(content), str)
