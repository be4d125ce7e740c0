"""Subtitles are read by real players: FFmpeg demuxes what is written here."""

from itertools import pairwise
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire.messages import SentenceSpoken, SpeechRequest
from services.common.wire.parts import Span, WordTime
from services.http_edge.subtitles.captions import Caption, CaptionWord, caption_of
from services.http_edge.subtitles.cues import COLUMNS, LINES, Cue, columns, cues
from services.http_edge.subtitles.files import FORMATS, srt, vtt
from tests.support.messages import EXAMPLES, REQUEST

RATE = 24_000


def caption(text: str, *, samples: int | None = None, measured: bool = True) -> Caption:
    """Return a caption whose words take 0.4 s each, after 0.05 s of silence and before 0.5 s of it."""
    words = []
    end = 1200
    start = 0
    for word in text.split():
        start = text.index(word, start)
        words.append(CaptionWord(start, start + len(word), end, end + 9600))
        end += 9600
        start += len(word)
    return Caption(text, samples or end + 12_000, tuple(words), measured)


def demuxed(content: str, kind: str, folder: Path) -> list[tuple[float, float, str]]:
    """Return start, end and text of each cue as FFmpeg reads them."""
    path = folder / f"file.{kind}"
    path.write_text(content, encoding="utf-8")
    with av.open(str(path)) as container:
        [stream] = container.streams.subtitles
        return [
            (
                float(packet.pts * packet.time_base),
                float((packet.pts + packet.duration) * packet.time_base),
                bytes(packet).decode(),
            )
            for packet in container.demux(stream)
            if packet.size
        ]


TEXTS = [
    caption("It was a bright cold day in April."),
    caption(
        "The clocks were striking thirteen, and Winston Smith, his chin nuzzled into his breast in an effort to "
        "escape the vile wind, slipped quickly through the glass doors of Victory Mansions."
    ),
    caption("R&D said: a --> b, <i>never</i> {\\an8} 1 < 2!"),
]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_player_reads_every_cue_with_its_times_and_its_words(kind: str, tmp_path: Path) -> None:
    made = list(cues(TEXTS, RATE))
    read = demuxed(FORMATS[kind].write(made), kind, tmp_path)
    assert [(start, end) for start, end, _ in read] == [
        (pytest.approx(cue.start_s, abs=0.001), pytest.approx(cue.end_s, abs=0.001)) for cue in made
    ]
    said = " ".join(text for _, _, text in read).split()
    escaped = FORMATS[kind].write([Cue(0, 1, (" ".join(part.text for part in TEXTS),))])
    assert said == escaped.split("\n")[-2].split()


def test_a_sentence_that_fits_is_one_cue_from_its_first_sample_to_its_last() -> None:
    [cue, *rest] = cues([TEXTS[0], TEXTS[0]], RATE)
    assert (cue.start_s, cue.end_s) == (0, TEXTS[0].samples / RATE)
    assert rest[0].start_s == cue.end_s
    assert cue.lines == ("It was a bright cold day in April.",)


def test_a_long_sentence_is_divided_after_clauses_and_each_cue_begins_with_its_first_word() -> None:
    made = list(cues([TEXTS[1]], RATE))
    assert len(made) == 3
    assert made[0].lines == ("The clocks were striking", "thirteen, and Winston Smith,")
    chin = next(
        word for word in TEXTS[1].words if TEXTS[1].text[word.start :].startswith("his chin")
    )
    assert made[1].start_s == chin.first_sample / RATE == made[0].end_s
    assert all(len(cue.lines) <= LINES for cue in made)


def test_a_silence_shows_no_text() -> None:
    with_break = caption("Wait. ", samples=10 * RATE)
    [cue, _] = cues([with_break, TEXTS[0]], RATE)
    assert cue.end_s == pytest.approx(0.05 + 0.4 + 1.0)


def test_a_line_of_chinese_is_half_as_many_characters() -> None:
    text = "今天天气很好我们去公园散步然后回家吃饭看书写字睡觉明天再去北京旅游参观故宫长城和天坛公园等等。"
    words = tuple(
        CaptionWord(index, index + 1, index * 100, index * 100 + 100) for index in range(len(text))
    )
    made = list(cues([Caption(text, 100 * len(text), words, True)], RATE))
    assert "".join(line for cue in made for line in cue.lines) == text
    assert max(columns(line) for cue in made for line in cue.lines) <= COLUMNS
    assert len(made) == 2


def test_a_line_of_arabic_that_begins_with_latin_letters_is_marked_as_right_to_left() -> None:
    made = list(cues([caption("OpenAI شركة في أمريكا.")], RATE))
    assert "\n\u200fOpenAI" in vtt(made)
    assert "\n\u200fOpenAI" in srt(made)
    assert "\u200f" not in vtt(cues([caption("شركة OpenAI في أمريكا.")], RATE))
    assert "\u200f" not in vtt(cues([TEXTS[0]], RATE))


def test_cues_without_length_are_one_millisecond_long() -> None:
    made = [Cue(1.0, 1.0, ("a",)), Cue(1.0, 1.0, ("b",)), Cue(1.0, 2.0, ("c",))]
    times = [line for line in vtt(made).splitlines() if "-->" in line]
    assert times == [
        "00:00:01.000 --> 00:00:01.001",
        "00:00:01.001 --> 00:00:01.002",
        "00:00:01.002 --> 00:00:02.000",
    ]


def test_a_long_audio_has_hours() -> None:
    assert "100:00:00,000 --> 100:00:01,500" in srt([Cue(360_000, 360_001.5, ("a",))])


@given(st.lists(st.text(max_size=400), max_size=5))
def test_any_text_has_cues_in_order_with_all_of_its_characters(texts: list[str]) -> None:
    made = list(cues([caption(text) for text in texts], RATE))
    assert all(one.end_s <= other.start_s + 1e-9 for one, other in pairwise(made))
    assert all(1 <= len(cue.lines) <= LINES for cue in made)
    assert all(columns(line) <= COLUMNS for cue in made for line in cue.lines)
    kept = "".join(line for cue in made for line in cue.lines)
    assert "".join(kept.split()) == "".join("".join(texts).split())


def request(text: str, text_type: str = "text") -> SpeechRequest:
    example = EXAMPLES[0]
    assert isinstance(example, SpeechRequest)
    return SpeechRequest(
        request=REQUEST,
        tenant="acme",
        engine="tone",
        language="en",
        text=text,
        text_type=text_type,  # type: ignore[arg-type]
        seed=1,
        deadline_unix_ms=example.deadline_unix_ms,
    )


def end(*words: WordTime) -> SentenceSpoken:
    return SentenceSpoken(
        request=REQUEST,
        sentence=0,
        sentences=1,
        attempt=1,
        chunks=1,
        samples=24_000,
        sample_rate_hz=RATE,
        digest="ab" * 32,
        worker="w",
        queue_ms=0,
        synthesis_ms=0,
        **({"words": words, "word_times": "measured"} if words else {}),  # type: ignore[arg-type]
    )


def test_an_ssml_sentence_is_shown_without_markup() -> None:
    ssml = "<speak>A <mark name='x'/>R&amp;D <b>team</b>.</speak>"
    words = [
        WordTime(ssml.index(word), ssml.index(word) + len(word), 0, 1)
        for word in ("A", "R&amp;D", "team</b>.")
    ]
    made = caption_of(request(ssml, "ssml"), Span(7, len(ssml) - 8), end(*words))
    assert made.text == "A R&D team ."
    assert [made.text[word.start : word.end] for word in made.words] == ["A", "R&D", "team ."]


def test_a_sentence_of_an_earlier_release_has_estimated_words() -> None:
    made = caption_of(request("One two."), Span(0, 8), end())
    assert not made.measured
    assert made.words == (CaptionWord(0, 3, 0, 9_000), CaptionWord(4, 8, 12_000, 24_000))
