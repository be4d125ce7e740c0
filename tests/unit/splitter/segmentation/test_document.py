"""A text whose parts are spoken differently is divided where that changes, and nothing of it is
lost."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.wire.failures import EmptyText, MalformedSsml, UnspeakableText
from services.common.wire.languages import LANGUAGES
from services.common.wire.options import TextOptions
from services.common.wire.parts import Mark, Passage
from services.splitter.normalization.normalize import normalize
from services.splitter.normalization.say_as import spoken_as
from services.splitter.segmentation.document import (
    SplitOptions,
    split_dialogue,
    split_passages,
    split_ssml,
)
from services.splitter.segmentation.sentences import SplitText

LIMITS = dict.fromkeys(LANGUAGES, 120)
ENGLISH = SplitOptions("en", LIMITS)


def ssml(content: str, manner: SplitOptions = ENGLISH) -> SplitText:
    return split_ssml(f"<speak>{content}</speak>", manner)


def spoken(division: SplitText) -> list[str]:
    return [sentence.spoken for sentence in division.sentences]


def pauses(division: SplitText) -> list[int]:
    return [sentence.pause_after_ms for sentence in division.sentences]


def test_paragraphs_and_sentences_are_divided_where_they_end_and_nowhere_else() -> None:
    division = ssml(
        "<p><s>One. Two is here</s><s>Three</s></p><p>Four is a sentence. Five is another one.</p>"
    )
    assert spoken(division) == [
        "One. Two is here",
        "Three",
        "Four is a sentence.",
        "Five is another one.",
    ]
    assert pauses(division) == [280, 600, 280, 0]


def test_a_voice_divides_and_keeps_its_name() -> None:
    division = ssml(
        '<voice name="Anna">One is here. Two is there</voice> three <voice name="Paul">four.</voice>'
    )
    assert [(sentence.voice, sentence.spoken) for sentence in division.sentences] == [
        ("Anna", "One is here."),
        ("Anna", "Two is there"),
        ("", "three"),
        ("Paul", "four."),
    ]
    assert pauses(division) == [280, 0, 0, 0]


DIALOGUE = "A street.\n\nAnna: Hello there. How are you?\nPaul: Bien, merci.\nAnna: Good."


def test_a_dialogue_is_divided_by_speakers_and_their_names_are_not_spoken() -> None:
    begin = DIALOGUE.index("Bien")
    passages = (Passage(begin, begin + len("Bien, merci."), "fr"),)
    division = split_dialogue(DIALOGUE, ("Anna", "Paul"), passages, ENGLISH)
    assert [(one.voice, one.language, one.spoken) for one in division.sentences] == [
        ("", "", "A street."),
        ("Anna", "", "Hello there."),
        ("Anna", "", "How are you?"),
        ("Paul", "fr", "Bien, merci."),
        ("Anna", "", "Good."),
    ]
    assert pauses(division) == [600, 280, 320, 280, 0]
    assert [DIALOGUE[one.start : one.end] for one in division.sentences] == spoken(division)
    left = "".join(DIALOGUE[start:end] for start, end in division.dropped)
    assert left.split() == ["Anna:", "Paul:", "Anna:"]


@given(st.text(alphabet="AnPaul: .\n", max_size=120), st.lists(st.integers(0, 120), max_size=6))
def test_a_dialogue_with_passages_loses_no_character(text: str, cuts: list[int]) -> None:
    edges = sorted(cuts)
    passages = [Passage(start, end, "fr") for start, end in itertools.pairwise(edges)]
    try:
        division = split_dialogue(text, ("An", "Paul"), passages, ENGLISH)
    except EmptyText:
        return
    spans = sorted([*((one.start, one.end) for one in division.sentences), *division.dropped])
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == len(text)


def test_a_break_replaces_the_pause_and_divides_a_sentence() -> None:
    division = ssml(
        'One<break time="75ms"/>two.<break time="1s"/><break time="2s"/><p>Three.</p><break strength="none"/>Four'
    )
    assert spoken(division) == ["One", "two.", "Three.", "Four"]
    assert pauses(division) == [75, 3000, 0, 0]


def test_silence_at_either_end_is_preserved() -> None:
    [only] = ssml('<break time="1s"/>Hello.<break time="2s"/>').sentences
    assert (only.pause_before_ms, only.pause_after_ms) == (1000, 2000)


def test_an_alias_is_spoken_and_its_span_is_the_text_it_replaces() -> None:
    source = '<speak>The <sub alias="World Wide Web">WWW</sub> grows.</speak>'
    [only] = split_ssml(source, ENGLISH).sentences
    assert only.spoken == "The World Wide Web grows."
    assert (source[only.start : only.end]) == 'The <sub alias="World Wide Web">WWW</sub> grows.'


def test_a_language_and_a_rate_hold_for_what_they_enclose() -> None:
    division = ssml(
        'She says <lang xml:lang="fr">10 chats</lang>, <prosody rate="slow">slowly and often</prosody>.'
    )
    assert [(one.spoken, one.language, one.rate) for one in division.sentences] == [
        ("She says", "", 1.0),
        ("Dix chats", "fr", 1.0),
        ("slowly and often", "", 0.75),
    ]
    assert pauses(division) == [0, 0, 0]


def test_a_language_that_the_engine_does_not_speak_is_refused() -> None:
    with pytest.raises(MalformedSsml, match="asks for fr, which the engine does not speak"):
        ssml('<lang xml:lang="fr">oui</lang>', SplitOptions("en", {"en": 100}))


def test_marks_are_where_they_stand_among_sentences_and_breaks() -> None:
    before, between = (
        '<mark name="a"/><break time="1s"/><mark name="b"/>',
        '<break time="2s"/><mark name="f"/>',
    )
    division = ssml(
        f'{before}The first sentence.<mark name="c"/> The <mark name="d"/>second sentence.<mark name="e"/>'
        f'{between}<break time="3s"/><s>Third</s><break time="4s"/><mark name="g"/>'
    )
    assert division.marks == (
        Mark("a", 0, 0),
        Mark("b", 0, 1000),
        Mark("c", 1, 0),
        Mark("d", 1, 0, within=True),
        Mark("e", 2, -5000),
        Mark("f", 2, -3000),
        Mark("g", 3, 0),
    )


def test_a_document_without_a_word_is_refused() -> None:
    with pytest.raises(EmptyText):
        ssml('<p>...</p><break time="1s"/>')


SAID = [
    ("en", "cardinal", "", "1,234", "one thousand two hundred thirty-four"),
    ("en", "cardinal", "", "-5", "minus five"),
    ("en", "ordinal", "", "21", "twenty-first"),
    ("de", "ordinal", "", "3.", "dritte"),
    ("fr", "digits", "", "2024", "deux zéro deux quatre"),
    ("en", "characters", "", "AB1", "A, B, one"),
    ("pl", "spell-out", "", "ab", "a, be"),
    ("en", "date", "dmy", "3/4/2020", "April third, twenty twenty"),
    ("en", "date", "mdy", "3/4/2020", "March fourth, twenty twenty"),
    ("fr", "date", "ymd", "2020-3-4", "Quatre mars deux mille vingt"),
    ("en", "date", "y", "1999", "nineteen ninety-nine"),
    ("de", "time", "hms24", "14.30", "Vierzehn Uhr dreißig"),
    ("en", "telephone", "", "+1 555 01", "plus one, five five five, zero one"),
    ("en", "currency", "", "$45", "Forty-five dollars"),
    ("en", "net", "uri", "12", "Twelve"),
    ("en", "cardinal", "", "many", "many"),
    ("en", "date", "md", "many", "many"),
]


@pytest.mark.parametrize(("language", "kind", "form", "text", "said"), SAID)
def test_a_known_say_as_kind_is_applied(
    language: str, kind: str, form: str, text: str, said: str
) -> None:
    assert normalize(spoken_as(text, kind, form, language), language).lower() == said.lower()


@settings(deadline=None)
@given(
    st.text(max_size=20) | st.from_regex(r"[-+]?[0-9./,: ]{1,12}", fullmatch=True),
    st.sampled_from(
        ("cardinal", "ordinal", "digits", "characters", "date", "time", "telephone", "currency")
    ),
    st.sampled_from(("", "mdy", "dmy", "ymd", "y", "hms12", "xyz")),
    st.sampled_from(list(LANGUAGES)),
)
def test_any_text_of_any_kind_is_verbalized(text: str, kind: str, form: str, language: str) -> None:
    assert isinstance(spoken_as(text, kind, form, language), str)


def test_passages_are_spoken_in_their_languages() -> None:
    text = "It costs 5 euros.\n\nCela coûte 5 euros.\nIt does."
    division = split_passages(text, (Passage(19, 39, "fr"),), ENGLISH)
    assert [(one.spoken, one.language) for one in division.sentences] == [
        ("It costs five euros.", ""),
        ("Cela coûte cinq euros.", "fr"),
        ("It does.", ""),
    ]
    assert pauses(division) == [600, 280, 0]


ITEMS = st.sampled_from(
    (
        *(
            "Hello there. ",
            "3/4/2020",
            "…",
            " ",
            "<s>One. Two</s>",
            "<p>A <s>b</s> c</p>",
            '<sub alias="x y z">&amp;</sub>',
            "&lt;",
        ),
        *(
            '<break time="10ms"/>',
            '<mark name="m"/>',
            '<lang xml:lang="zh">他来了。</lang>',
            '<prosody rate="fast">go 5</prosody>',
        ),
        *(
            '<say-as interpret-as="digits">12</say-as>',
            "<!-- x -->",
            "x" * 90,
            "ﷺ",
            '<sub alias="">b</sub>',
        ),
    )
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(ITEMS, max_size=25).map("".join),
    st.sampled_from(list(LANGUAGES)),
    st.integers(20, 120),
    st.booleans(),
)
def test_every_character_of_a_document_is_in_one_sentence_or_dropped(
    content: str, language: str, limit: int, splitting: bool
) -> None:
    source = f"<speak>{content}</speak>"
    try:
        division = split_ssml(
            source,
            SplitOptions(language, dict.fromkeys(LANGUAGES, limit), TextOptions(split=splitting)),
        )
    except (EmptyText, MalformedSsml, UnspeakableText):
        return
    spans = sorted([(one.start, one.end) for one in division.sentences] + list(division.dropped))
    assert (spans[0][0], spans[-1][1]) == (0, len(source))
    assert all(first[1] == second[0] for first, second in itertools.pairwise(spans))
    assert all(len(one.spoken) <= limit and one.pause_after_ms >= 0 for one in division.sentences)
    assert [mark.sentence for mark in division.marks] == sorted(
        mark.sentence for mark in division.marks
    )
    assert len(division.marks) == content.count("<mark")


@settings(deadline=None)
@given(
    st.text(max_size=80),
    st.lists(
        st.tuples(st.integers(0, 90), st.integers(0, 90), st.sampled_from(list(LANGUAGES))),
        max_size=5,
    ),
)
def test_passages_that_overlap_or_lie_outside_lose_no_text(
    text: str, drawn: list[tuple[int, int, str]]
) -> None:
    passages = tuple(Passage(*one) for one in drawn)
    try:
        division = split_passages(text, passages, ENGLISH)
    except (EmptyText, UnspeakableText):
        return
    spans = sorted([(one.start, one.end) for one in division.sentences] + list(division.dropped))
    assert (spans[0][0], spans[-1][1]) == (0, len(text))
    assert all(first[1] == second[0] for first, second in itertools.pairwise(spans))
