import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.synth_worker.engines.xtts.text.hindi import spell_out, with_numbers_spelled_out


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "शून्य"),
        (9, "नौ"),
        (19, "उन्नीस"),
        (25, "पच्चीस"),
        (39, "उनतालीस"),
        (49, "उनचास"),
        (59, "उनसठ"),
        (69, "उनहत्तर"),
        (79, "उन्यासी"),
        (89, "नवासी"),
        (99, "निन्यानबे"),
        (100, "एक सौ"),
        (110, "एक सौ दस"),
        (1_000, "एक हज़ार"),
        (2_024, "दो हज़ार चौबीस"),
        (100_000, "एक लाख"),
        (12_34_567, "बारह लाख चौंतीस हज़ार पाँच सौ सड़सठ"),
        (1_00_00_000, "एक करोड़"),
        (10**12, "एक लाख करोड़"),
    ],
)
def test_a_number_is_spoken_in_lakh_and_crore(number: int, words: str) -> None:
    assert spell_out(number) == words


def test_every_number_below_a_thousand_has_different_words() -> None:
    assert len({spell_out(number) for number in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("12.5 किलो", "बारह दशमलव पाँच किलो"),
        ("1,00,000 और 1,000,000", "एक लाख और दस लाख"),
        ("१२ लोग", "बारह लोग"),
        ("1,2", "एक , दो"),
        ("1.2.3", "एक दशमलव दो . तीन"),
        ("5.", "पाँच ."),
        ("3.14", "तीन दशमलव एक चार"),
        ("1" * 16, " ".join(["एक"] * 16)),
    ],
)
def test_the_numbers_of_a_text_are_written_out(text: str, words: str) -> None:
    assert with_numbers_spelled_out(text).split() == words.split()


@given(st.text(alphabet="0123456789.,-/ अ१२३", max_size=40))
def test_no_digit_is_left(text: str) -> None:
    assert not any(character.isdecimal() for character in with_numbers_spelled_out(text))
