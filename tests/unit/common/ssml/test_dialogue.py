"""The speakers of a dialogue's lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.ssml.dialogue import dialogue_parts, names_in

NAMES = ("Anna", "Paul Dupont")


def parts(text: str, *names: str) -> list[tuple[str, str]]:
    return [
        (part.speaker, text[part.start : part.end].strip())
        for part in dialogue_parts(text, names or NAMES)
    ]


def test_a_line_that_begins_with_a_name_and_a_colon_is_spoken_by_that_voice() -> None:
    assert parts("Anna: Hello.\nPaul Dupont: Good morning.\nAnna: How are you?") == [
        ("Anna", "Hello."),
        ("Paul Dupont", "Good morning."),
        ("Anna", "How are you?"),
    ]


def test_other_lines_continue_the_part_and_text_before_the_first_name_has_no_speaker() -> None:
    assert parts("A street.\n\nAnna: Hello.\nIt is late: ten.\nNote: run\nPaul Dupont: Yes.") == [
        ("", "A street."),
        ("Anna", "Hello.\nIt is late: ten.\nNote: run"),
        ("Paul Dupont", "Yes."),
    ]


def test_names_are_found_in_any_case_and_with_any_spaces_and_colons() -> None:
    text = "  ANNA\u00a0: Un.\npaul   dupont：Deux.\r\nAnna:Trois."
    assert parts(text) == [("Anna", "Un."), ("Paul Dupont", "Deux."), ("Anna", "Trois.")]
    assert parts("ÉLODIE: Oui.", "E\u0301lodie") == [("E\u0301lodie", "Oui.")]


def test_a_name_without_words_has_no_part() -> None:
    assert parts("Anna:\nPaul Dupont: Yes.\nAnna: ") == [("Paul Dupont", "Yes.")]


def test_the_names_of_voices_are_returned_once_in_the_order_of_the_text() -> None:
    text = "Paul Dupont: Yes.\nAnna: No.\nPaul Dupont: Yes."
    assert names_in(text, "dialogue", NAMES) == ("Paul Dupont", "Anna")
    assert names_in("A street.\nAnna: No.", "dialogue", NAMES) == ("", "Anna")
    assert names_in(text, "text", NAMES) == ("",)
    assert names_in('<speak><voice name="B">b</voice>c</speak>', "ssml", ()) == ("B", "")


@given(st.text(alphabet="Anna:： \n\tb", max_size=200))
def test_parts_are_in_order_and_only_labels_are_left_out(text: str) -> None:
    offset = 0
    for part in dialogue_parts(text, NAMES):
        assert offset <= part.start < part.end <= len(text)
        between = text[offset : part.start].strip()
        assert not between or between.endswith((":", "："))
        offset = part.end


@pytest.mark.parametrize("text", [" " * 500_000, "a" * 500_000, "a:" * 250_000, "\n" * 500_000])
def test_a_long_text_without_a_name_is_one_part_or_none(text: str) -> None:
    assert len(dialogue_parts(text, NAMES)) == bool(text.strip())
