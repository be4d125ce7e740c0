"""Sentences of a text: boundaries, joined fragments, cuts, and text that is left out."""

import pytest

from services.common.wire.languages import LANGUAGES
from services.common.wire.options import TextOptions
from services.splitter.normalization.normalize import normalize
from services.splitter.segmentation.sentences import split
from tests.support.cases import assert_each
from tests.unit.splitter.normalization.gold import GOLD, sentences_of


def spoken(text: str, language: str, limit: int = 200, *, spoken_forms: bool = True) -> list[str]:
    division = split(
        text, language, max_characters=limit, options=TextOptions(spoken_forms=spoken_forms)
    )
    return [sentence.spoken for sentence in division.sentences]


def test_every_language_has_at_least_eight_gold_texts() -> None:
    assert list(GOLD) == list(LANGUAGES)
    assert min(map(len, GOLD.values())) >= 8


@pytest.mark.parametrize("language", GOLD)
def test_a_text_is_divided_where_a_reader_would_pause(language: str) -> None:
    def sentences(text: str) -> list[str]:
        division = split(text, language, max_characters=400)
        return [text[s.start : s.end] for s in division.sentences]

    assert_each(
        [(marked.replace("|", ""), sentences_of(marked)) for marked in GOLD[language]], sentences
    )


@pytest.mark.parametrize("language", GOLD)
def test_the_gold_texts_of_a_language_are_divided_the_same_way_as_one_text(language: str) -> None:
    separator = "" if language in ("zh", "ja") else " "
    text = separator.join(marked.replace("|", "") for marked in GOLD[language])
    wanted = [sentence for marked in GOLD[language] for sentence in sentences_of(marked)]
    assert [
        text[s.start : s.end] for s in split(text, language, max_characters=400).sentences
    ] == wanted


def test_a_writer_without_capitals_writes_sentences_too() -> None:
    assert len(spoken("hello my old friend. i am very well. how are you today?", "en")) == 3


def test_a_short_sentence_is_a_sentence_and_keeps_its_pause() -> None:
    assert spoken("No. Yes. Perhaps that is how it was.", "en") == [
        "No.",
        "Yes.",
        "Perhaps that is how it was.",
    ]
    assert spoken("That is how it was. Or not.", "en") == ["That is how it was.", "Or not."]
    assert spoken("No! Stop! Wait!", "en") == ["No!", "Stop!", "Wait!"]


def test_fragments_are_joined_to_their_neighbours() -> None:
    assert spoken("A... well, perhaps that is how it was.", "en") == [
        "A... well, perhaps that is how it was."
    ]
    assert spoken("«Кто там?» — спросила Анна.", "ru") == ["«Кто там?» — спросила Анна."]


def test_the_number_of_a_list_stays_with_its_item() -> None:
    assert spoken("1. The first thing to do. 2. The second thing to do.", "en") == [
        "One, The first thing to do.",
        "Two, The second thing to do.",
    ]


def test_a_long_sentence_is_cut_at_a_clause_before_words_and_at_words_before_letters() -> None:
    clauses = (
        "One clause of a long sentence, and another clause of it, and a third one that ends it."
    )
    assert spoken(clauses, "en", 60) == [
        "One clause of a long sentence, and another clause of it,",
        "and a third one that ends it.",
    ]
    assert spoken("several words without any mark between them", "en", 20) == [
        "several words",
        "without any mark",
        "between them",
    ]
    assert spoken("x" * 50, "en", 20) == ["x" * 20, "x" * 20, "x" * 10]
    assert spoken("Das kostet 1,234,567 Euro", "de", 12, spoken_forms=False) == [
        "Das kostet",
        "1,234,567",
        "Euro",
    ]


def test_a_cut_never_parts_a_letter_from_its_marks() -> None:
    text = "क्षि" * 30
    for piece in spoken(text, "hi", 10):
        assert piece[0] == "क"


def test_a_cut_leaves_no_fragment_of_a_few_letters() -> None:
    pieces = spoken("Nine words follow here without any mark at all between them so", "en", 60)
    assert min(map(len, pieces)) > 15


@pytest.mark.parametrize("language", ["en", "ru", "ko", "hi"])
def test_a_sentence_of_many_pages_is_cut_between_words_only(language: str) -> None:
    words = ["wandering", "through", "corridors"]
    for piece in spoken(" ".join(words * 600), language, 100):
        assert set(piece.split()) <= set(words)


def test_a_cut_spares_numbers_and_ranges() -> None:
    assert spoken("他在1914–1918年的战争中失去了父亲母亲和兄弟", "zh", 12, spoken_forms=False)[
        0
    ].startswith("他在1914–1918")
    text = "Between the years 1914–1918 nothing of it remained"
    assert spoken(text, "en", 30, spoken_forms=False)[0] == "Between the years 1914–1918"


def test_a_japanese_cut_comes_before_a_word_and_not_inside_it() -> None:
    pieces = spoken("私は昨日友達と一緒に東京の大きな図書館で古い本を読んだ", "ja", 16)
    assert pieces == ["私は昨日友達と一緒に東京の", "大きな図書館で古い本を読んだ"]


def test_pauses_follow_what_ends_a_sentence() -> None:
    text = (
        "This is how it begins. Is this a question? This one trails off... A long one, which is cut here, goes on."
        "\n\nA new paragraph. The end of it"
    )
    pauses = [s.pause_after_ms for s in split(text, "en", max_characters=32).sentences]
    assert pauses == [280, 320, 400, 120, 600, 280, 0]


def test_without_splitting_a_text_stays_whole_as_far_as_the_engine_allows() -> None:
    text = "One sentence here. Another sentence there.\n\nA paragraph."
    whole = split(text, "en", max_characters=100, options=TextOptions(split=False)).sentences
    assert [s.spoken for s in whole] == ["One sentence here. Another sentence there. A paragraph."]
    assert len(split(text, "en", max_characters=30, options=TextOptions(split=False)).sentences) > 1


def test_without_splitting_a_text_that_must_be_cut_is_cut_between_sentences() -> None:
    text = "One sentence stands here. Another sentence stands there. And a third one."
    pieces = split(text, "en", max_characters=60, options=TextOptions(split=False)).sentences
    assert [s.spoken for s in pieces] == [
        "One sentence stands here. Another sentence stands there.",
        "And a third one.",
    ]


def test_lines_ended_on_purpose_are_sentences_and_wrapped_lines_are_not() -> None:
    assert spoken(
        "Chapter the First\nIt was a dark night; the rain fell in torrents on the roofs.", "en"
    ) == [
        "Chapter the First",
        "It was a dark night; the rain fell in torrents on the roofs.",
    ]
    wrapped = "Am Morgen darauf ging er in die große\nStadt und kaufte sich einen neuen Hut."
    assert len(spoken(wrapped, "de")) == 1


def test_items_of_a_list_are_sentences_though_no_mark_ends_them() -> None:
    text = "What we need today:\n- apples and pears\n- bread from the baker\n- a litre of milk"
    assert len(spoken(text, "en")) == 4


@pytest.mark.parametrize(
    ("written", "spoken_form"),
    [
        (
            "Zero\u200bwidth, soft\u00adhyphen,\tand １２３ ＡＢＣ.",
            "Zerowidth, softhyphen, and one hundred twenty-three ABC.",
        ),
        (
            "I \u2764\ufe0f you \U0001f469\u200d\U0001f469\u200d\U0001f467 so 1\ufe0f\u20e3 much\u2122",
            "I you so one much\u2122",
        ),
        ("ﬁnal ﬂight, it\u2019s 𝐁𝐨𝐥𝐝", "final flight, it's Bold"),
        ("e\u0301te\u0301", "\u00e9t\u00e9"),
        ("ｶﾞｷﾞ", "ガギ"),
        ("ﻣﺮﺣﺒﺎ", "مرحبا"),
        ("葛\U000e0100飾", "葛飾"),
        ("क्\u200dष", "क्\u200dष"),
        ("a\u200db \x07c\ud800d\ufffd", "ab cd"),
    ],
)
def test_the_engine_receives_the_spoken_form(written: str, spoken_form: str) -> None:
    assert normalize(written, "en") == spoken_form
