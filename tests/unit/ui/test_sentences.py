"""Sentences in the text and in the audio, and subtitles of them."""

import pytest

from ui.client.order import ChosenVoice, Order
from ui.client.responses import spans_of
from ui.text.sentences import Alignment, TimedSentence, srt, vtt

TEXT = "Un, deux.  Trois !\nQuatre."
SPANS = [{"start": 0, "end": 9}, {"start": 11, "end": 18}, {"start": 19, "end": 26}]


def test_what_is_learned_bit_by_bit_fits_together() -> None:
    alignment = Alignment(TEXT)
    alignment.learn({"from": 0, "sentences": [SPANS[0] | {"seconds": 1.5}, *SPANS[1:]]})
    assert alignment.ends_s == [1.5]
    alignment.learn(
        {"from": 1, "sentences": [SPANS[1] | {"seconds": 2.0}, SPANS[2] | {"seconds": 0.5}]}
    )
    assert alignment.ends_s == [1.5, 3.5, 4.0]
    assert "".join(alignment.shown()) == TEXT
    assert list(alignment.cues()) == [
        TimedSentence(0, 1.5, "Un, deux."),
        TimedSentence(1.5, 3.5, "Trois !"),
        TimedSentence(3.5, 4.0, "Quatre."),
    ]


def test_what_is_left_out_is_learned_with_the_sentences() -> None:
    alignment = Alignment("Un สอง. Deux.")
    alignment.learn({"from": 0, "sentences": SPANS[:1], "left_out": [{"start": 3, "end": 6}]})
    assert alignment.left_out == ((3, 6),)


@pytest.mark.parametrize(
    ("header", "spans"),
    [("", ()), ('14;spans="24-38"', ((24, 38),)), ('18;spans="9-15 20-32"', ((9, 15), (20, 32)))],
)
def test_the_header_of_what_is_left_out_names_its_places(
    header: str, spans: tuple[tuple[int, int], ...]
) -> None:
    assert spans_of(header) == spans


def test_a_document_in_ssml_is_shown_without_its_markup() -> None:
    text = '<speak>Sel &amp; <mark name="x"/>poivre.<!-- > --><break time="1s"/>Fin.</speak>'
    alignment = Alignment(text)
    spans = [
        {"start": 7, "end": text.index("<!--")},
        {"start": text.index("Fin"), "end": text.index("</")},
    ]
    alignment.learn({"from": 0, "sentences": [span | {"seconds": 1.0} for span in spans]})
    assert [cue.text for cue in alignment.cues()] == ["Sel & poivre.", "Fin."]
    assert "".join(alignment.shown()).split() == ["Sel", "&", "poivre.", "Fin."]


@pytest.mark.parametrize(
    "text", ["<speak>a</speak>", "\n<?xml version='1.0'?>\n<speak version='1.1'>a</speak>"]
)
def test_a_document_in_ssml_is_sent_as_one(text: str) -> None:
    assert Order(text, "fr", ChosenVoice()).fields()["text_type"] == "ssml"


@pytest.mark.parametrize("text", ["a <speak>", "<speaker>", "speak"])
def test_a_text_with_a_tag_in_it_is_sent_as_it_is(text: str) -> None:
    assert "text_type" not in Order(text, "fr", ChosenVoice()).fields()


def test_a_repeated_answer_counts_once() -> None:
    alignment = Alignment(TEXT)
    for _ in range(2):
        alignment.learn({"from": 0, "sentences": [SPANS[0] | {"seconds": 1.5}, *SPANS[1:]]})
    assert alignment.ends_s == [1.5]


def test_a_no_break_space_holds_a_sign_and_its_word_together_in_subtitles() -> None:
    text = "La roue s’arrêta soudain et lui répondit\u00a0: «\u00a0Repose-toi.\u00a0»"
    alignment = Alignment(text)
    alignment.learn({"from": 0, "sentences": [{"start": 0, "end": len(text), "seconds": 3.0}]})
    shown = srt(list(alignment.cues()))
    assert "répondit\u00a0: «\u00a0Repose-toi.\u00a0»" in shown.replace("\n", " ")
    assert not any(line.startswith((":", "»")) for line in shown.splitlines())


def test_subtitles_are_written_as_players_read_them() -> None:
    cues = [
        TimedSentence(0, 1.5, "Un < deux & trois."),
        TimedSentence(
            3661.0, 3662.25, "Une phrase trop longue pour une seule ligne de sous-titre."
        ),
    ]
    assert srt(cues) == (
        "1\n00:00:00,000 --> 00:00:01,500\nUn < deux & trois.\n\n"
        "2\n01:01:01,000 --> 01:01:02,250\nUne phrase trop longue pour une seule\nligne de sous-titre.\n"
    )
    assert vtt(cues).startswith(
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nUn &lt; deux &amp; trois.\n\n01:01:01.000 -->"
    )


def test_the_words_of_a_sentence_that_was_spoken_again_replace_the_old_ones() -> None:
    alignment = Alignment(TEXT)
    lengths = (1.5, 2.0, 0.5)
    stored: list[dict[str, object]] = [
        {**span, "text": TEXT[span["start"] : span["end"]], "begins": begins, "seconds": seconds}
        for span, begins, seconds in zip(SPANS, (0.0, 1.5, 3.5), lengths, strict=True)
    ]
    stored[1] |= {"text": "Cinq et six !", "revision": 1}
    alignment.learn_revision(stored)
    assert alignment.ends_s == [1.5, 3.5, 4.0]
    assert alignment.shown() == ["Un, deux.  ", "Cinq et six !\n", "Quatre."]
    assert [cue.text for cue in alignment.cues()] == ["Un, deux.", "Cinq et six !", "Quatre."]
