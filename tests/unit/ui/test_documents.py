"""Text out of documents."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.errors import BadDocument
from ui.text.documents import TextDocument, epub, markdown, plain, read_document
from ui.text.headings import Heading, marked, silent_heading, split_headings


def book(chapters: dict[str, str], spine: list[str], contents: str = "", title: str = "") -> bytes:
    """Return an EPUB. `contents`: the document with its table of contents, in the folder of the package."""
    items = "".join(f'<item id="{name}" href="text/{name}%20x.xhtml"/>' for name in chapters)
    if contents:
        kind = "application/x-dtbncx+xml" if "<ncx" in contents else "application/xhtml+xml"
        items += f'<item id="toc" href="toc.x" properties="nav" media-type="{kind}"/>'
    order = "".join(f'<itemref idref="{name}"/>' for name in spine)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr(
            "META-INF/container.xml", '<container><rootfile full-path="OPS/book.opf"/></container>'
        )
        file.writestr(
            "OPS/book.opf",
            f"<opf:package><dc:title>{title}</dc:title><opf:manifest>{items}</opf:manifest><spine>{order}</spine>",
        )
        file.writestr("OPS/toc.x", contents)
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
    assert epub(book(chapters, ["two", "one"])).text == "Second & last\n\nFirst\n\na b"


def chapter_texts(document: TextDocument) -> list[tuple[str, str]]:
    """Return each chapter's title and the first line of its text."""
    return [(title, document.text[start:].partition("\n")[0]) for title, start in document.chapters]


def test_the_headings_of_a_book_are_its_chapters() -> None:
    parts = {
        "one": "<h1>Alice</h1><h2><a id='x'/>I. <i>Down</i><br/>the hole</h2><p>It was hot.</p>",
        "two": "<p>No heading.</p><h4>Not a chapter</h4>",
        "three": "<h2><img src='x'/></h2><h2> II </h2><p>\ue000Wet.\ue001</p>",
    }
    document = epub(book(parts, ["one", "two", "three"], title=" Alice &amp;\nCo "))
    assert document.title == "Alice & Co"
    assert chapter_texts(document) == [
        ("Alice", "Alice"),
        ("I. Down the hole", "I. Down"),
        ("II", "II"),
    ]
    assert document.text.endswith("II\n\nWet.")
    assert read_document("a.epub", book(parts, ["one"])).title == "a"


NAV = """<nav epub:type="landmarks"><a href="text/one%20x.xhtml">Start</a></nav><nav epub:type="toc"><ol>
<li><a href="text/one%20x.xhtml#a">One &amp; <i>only</i></a></li><li><a href="text/one%20x.xhtml#b">1b</a></li>
<li><a href="text/two%20x.xhtml">Two</a></li></ol></nav>"""
NCX = """<ncx><docTitle><text>Book</text></docTitle><navMap><navPoint><navLabel><text>One &amp; only</text></navLabel>
<content src="text/one%20x.xhtml#a"/></navPoint><navPoint><navLabel><text>Two</text></navLabel>
<content src="text/two%20x.xhtml"/></navPoint></navMap></ncx>"""


@pytest.mark.parametrize("contents", [NAV, NCX], ids=["nav", "ncx"])
def test_a_part_without_a_heading_has_its_title_from_the_table_of_contents_and_the_text_stays(
    contents: str,
) -> None:
    parts = {"one": "<p>First words.</p>", "two": "<h1>Second</h1><p>More.</p>"}
    document = epub(book(parts, ["one", "two"], contents))
    assert document.text == "First words.\n\nSecond\n\nMore."
    assert chapter_texts(document) == [("One & only", "First words."), ("Second", "Second")]


def test_the_headings_of_markdown_are_its_chapters() -> None:
    text = "Before.\n\n# The *book* #\n\nWords.\n\n## One\nText # no\n#### Four\n```\n# code\n```\n"
    document = read_document("My notes.md", text.encode())
    assert document.title == "My notes"
    assert chapter_texts(document) == [("The book", "The book"), ("One", "One")]


@given(st.lists(st.text(alphabet="ab \n\ue000\ue001\ue002", max_size=8), max_size=6))
def test_chapters_are_in_order_and_within_the_text_whatever_the_headings(words: list[str]) -> None:
    marks = "".join(f"{marked(word)} x {silent_heading(word)} " for word in words)
    text, chapters = split_headings(marks)
    starts = [chapter.start for chapter in chapters]
    assert starts == sorted(set(starts))
    assert not set(text) & set("\ue000\ue001\ue002")
    assert all(start < len(text) for start in starts)


def test_at_most_500_chapters_are_sent() -> None:
    _, chapters = split_headings("".join(f"{marked(str(index))} " for index in range(600)))
    assert len(chapters) == 500
    assert chapters[1] == Heading("1", 2)


def test_a_pdf_is_read_in_a_separate_process() -> None:
    assert (
        read_document("Book.PDF", pdf("Hello, dear reader.")).text.strip() == "Hello, dear reader."
    )


def test_marks_are_not_read_aloud() -> None:
    text = "# Title\n\nSome *fine* **words** with a [link](https://x.org) and `code`.\n\n- one\n- snake_case\n\n---\n"
    text += "```\nx\n```\n"
    read = markdown(text.encode()).text
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
    assert isinstance(markdown(content).text, str)
