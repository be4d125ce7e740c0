"""Words are those that the client wrote, with what is spoken for each."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.wire.languages import LANGUAGES
from services.common.wire.options import TextOptions
from services.splitter.segmentation.document import SplitOptions, split_ssml
from services.splitter.segmentation.sentences import SplitText, divided
from services.splitter.segmentation.words import unpacked


def pairs(text: str, division: SplitText) -> list[tuple[str, str]]:
    return [
        (text[word.start : word.end], sentence.spoken[word.spoken_start : word.spoken_end])
        for sentence in division.sentences
        for word in unpacked(sentence.words)
    ]


def split(text: str, language: str, pronunciations: dict[str, str] | None = None) -> SplitText:
    return divided(
        text,
        language,
        max_characters=200,
        options=TextOptions(pronunciations=pronunciations or {}),
    )


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Dr. Lee —\nyes!", "Dr.=Doctor Lee=Lee yes!=yes!"),
        ("en", "In 1997 &", "In=In 1997=nineteen_ninety-seven &=and"),
        ("en", "It is 5 kg.", "It=It is=is 5=five kg.=kilograms."),
        (
            "fr",
            "Le 14 juillet 1789, M. Roux",
            "Le=Le 14=quatorze juillet=juillet 1789,=mille_sept_cent_quatre-vingt-neuf, "
            "M.=Monsieur Roux=Roux",
        ),
        ("de", "Um 10:30 Uhr", "Um=Um 10:30=zehn Uhr=Uhr_dreißig"),
        ("zh", "2024年，去。", "2024=二零二四 年，=年， 去。=去。"),
        ("ja", "コーヒーを3杯", "コー=コー ヒー=ヒー を=を 3=三 杯=杯"),
        ("ar", "لدي 3 كتب", "لدي=لدي 3=ثلاثة كتب=كتب"),
    ],
)
def test_a_written_word_has_what_is_spoken_for_it(language: str, text: str, expected: str) -> None:
    found = [
        f"{written}={spoken.replace(' ', '_')}"
        for written, spoken in pairs(text, split(text, language))
    ]
    assert found == expected.split()


def test_a_pronunciation_belongs_to_the_word_that_it_replaces() -> None:
    text = "Use SQL now."
    found = pairs(text, split(text, "en", {"SQL": "sequel language"}))
    assert found == [("Use", "Use"), ("SQL", "sequel language"), ("now.", "now.")]


def test_what_ssml_replaces_is_one_word_of_the_document() -> None:
    text = (
        '<speak>The <sub alias="World Wide Web">WWW</sub> by A&amp;B, '
        '<say-as interpret-as="ordinal">3</say-as> time.</speak>'
    )
    found = pairs(text, split_ssml(text, SplitOptions("en", {"en": 240})))
    assert found == [
        ("The", "The"),
        ("WWW", "World Wide Web"),
        ("by", "by"),
        ("A&amp;B,", "A and B,"),
        ("3", "third"),
        ("time.", "time."),
    ]


@settings(deadline=None)  # the first text of a language builds its rules
@given(
    st.text(alphabet="ab Z.,!?5$€&%-'(\"\n東か1:/é…", max_size=80),
    st.sampled_from(sorted(LANGUAGES)),
)
def test_words_are_in_order_and_inside_of_their_sentence(text: str, language: str) -> None:
    for sentence in split(text, language).sentences:
        words = list(unpacked(sentence.words))
        assert all(0 <= word.start < word.end <= len(text) for word in words)
        assert all(word.spoken_start < word.spoken_end <= len(sentence.spoken) for word in words)
        assert all(
            one.end <= other.start and one.spoken_end <= other.spoken_start
            for one, other in pairwise(words)
        )
