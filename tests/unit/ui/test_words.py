"""Small texts of the pages: language of the browser, file names, pronunciations, seeds."""

import pytest

from ui.text.file_name import file_stem
from ui.text.pronunciations import parse_pronunciations
from ui.translations import first_tongue
from ui.widgets.options import parse_seed


@pytest.mark.parametrize(
    ("asked", "locale", "tongue"),
    [
        ("", "fr-CA", "fr"),
        ("", "en-GB", "en"),
        ("", "de-DE", "en"),
        ("", None, "fr"),
        ("fr", "en-GB", "fr"),
        ("en", "fr-FR", "en"),
        ("xx", "fr_FR", "fr"),
    ],
)
def test_the_pages_begin_in_the_language_of_the_address_or_the_browser(
    asked: str, locale: str | None, tongue: str
) -> None:
    assert first_tongue(asked, locale) == tongue


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        (
            "Bonjour ! Cette voix est née d’un court extrait, et",
            "Bonjour Cette voix est née d’un court",
        ),
        ("<speak>Un <mark name='a'/>deux</speak>", "Un deux"),
        ("../../etc/passwd", "etc passwd"),
        ("今日は" * 30, ("今日は" * 30)[:40]),
        ("...", "speech"),
    ],
)
def test_a_file_is_named_by_its_first_words(text: str, stem: str) -> None:
    assert file_stem(text) == stem


def test_pronunciations_are_read_line_by_line() -> None:
    assert parse_pronunciations("SQL = sequel\n\nNguyen=Nouyène\nwrong\n= b") == (
        {"SQL": "sequel", "Nguyen": "Nouyène"},
        ["wrong", "= b"],
    )


@pytest.mark.parametrize(
    ("written", "seed"),
    [
        ("77", 77),
        (" 0 ", 0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
    ],
)
def test_a_seed_is_a_whole_number_that_the_service_takes(written: str, seed: int | None) -> None:
    assert parse_seed(written) == seed
