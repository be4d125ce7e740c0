"""The pronunciations of a request."""

from services.common.wire.options import TextOptions
from services.splitter.normalization.reader import read
from services.splitter.segmentation.sentences import split


def said(text: str, language: str = "en", **pronunciations: str) -> str:
    return read(text, language, TextOptions(pronunciations=pronunciations)).text


def test_whole_words_are_replaced_and_parts_of_words_are_not() -> None:
    assert (
        said("SQL, not MySQL or SQLite; SQL!", SQL="sequel")
        == "sequel, not MySQL or SQLite; sequel!"
    )


def test_the_longest_word_wins_and_case_matters() -> None:
    assert (
        said("New York and York and york", **{"York": "Yawk", "New York": "Noo Yawk"})
        == "Noo Yawk and Yawk and york"
    )


def test_a_script_without_spaces_has_no_ends_of_words() -> None:
    assert said("他住在重庆路", "zh", 重庆="崇庆") == "他住在崇庆路"


def test_it_comes_before_every_other_rule() -> None:
    assert said("the 3rd and 4th", **{"3rd": "three-ard"}) == "the three-ard and fourth"


def test_spans_count_the_text_that_was_sent() -> None:
    text = "We love SQL. So do they all."
    first, second = split(
        text, "en", max_characters=100, options=TextOptions(pronunciations={"SQL": "sequel"})
    ).sentences
    assert (first.spoken, text[first.start : first.end]) == ("We love sequel.", "We love SQL.")
    assert text[second.start : second.end] == second.spoken
