"""Markup is not spoken; text that only looks like markup is."""

import pytest

from services.splitter.normalization.normalize import normalize
from services.splitter.segmentation.sentences import split


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("**Bold**, *slanted* and `code`", "Bold, slanted and code"),
        ("__low__ and _lower_ and ~~gone~~", "low and lower and gone"),
        (
            "see [the page](https://example.com/a?b=c) and ![a cat](cat.png)",
            "see the page and a cat",
        ),
        ("# A heading\n\nand its text", "A heading and its text"),
        ("> quoted\n> twice", "quoted twice"),
        ("<p>Hello <b>world</b> &amp; all</p>", "Hello world and all"),
        ("one<br/>two<!-- never -->", "one two"),
        ("a &lt; b, &eacute;t&#233; &nosuch;", "a less than b, été &nosuch;"),
        ("```python\nprint\n```", "print"),
        ("a < b, c > d and 5 * 3", "a less than b, c greater than d and five times three"),
        ("snake_case_name and 2*3*4", "snake_case_name and two times three times four"),
        ("[1] and (2)", "[one] and (two)"),
    ],
)
def test_markup_is_not_spoken(written: str, said: str) -> None:
    assert normalize(written, "en").casefold() == said.replace("&nosuch;", "and nosuch;").casefold()


def test_blocks_and_bullets_are_separate_sentences() -> None:
    text = "<h1>The heading of it</h1><p>The first paragraph here</p>\n* an item of the list\n* another item of it"
    assert [sentence.spoken for sentence in split(text, "en", max_characters=100).sentences] == [
        "The heading of it",
        "The first paragraph here",
        "an item of the list",
        "another item of it",
    ]


def test_spans_count_the_markup_too() -> None:
    text = "This is **very** bold. That is [a link](http://example.com) here."
    first, second = split(text, "en", max_characters=100).sentences
    assert text[first.start : first.end] == "This is **very** bold."
    assert text[second.start : second.end] == "That is [a link](http://example.com) here."
    assert second.spoken == "That is a link here."
