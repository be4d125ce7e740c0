"""Sentences with their words and times, as subtitles and word times are made of them. Pure."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Final

import msgspec
from msgspec import UNSET

from services.common.wire.messages import SentenceSpoken, SpeechRequest
from services.common.wire.parts import Span

_MARKUP: Final = re.compile(r"<!--.*?-->|<!\[CDATA\[|\]\]>|<[^>]*>?", re.DOTALL)
_TOKEN: Final = re.compile(r"\S+")
_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


class CaptionWord(msgspec.Struct, frozen=True, array_like=True):
    """A word of a caption: characters [start, end) of its text, samples [first_sample, end_sample) of the sentence."""

    start: int
    end: int
    first_sample: int
    end_sample: int


class Caption(msgspec.Struct, frozen=True, array_like=True):
    """A sentence as its client wrote it, without markup, and its times."""

    text: str
    samples: int  # with the pause after it
    words: tuple[CaptionWord, ...]
    measured: bool  # whether the engine measured the times of the words
    fault: str = ""  # why the audio is faulty, if it is


def caption_of(request: SpeechRequest, span: Span, spoken: SentenceSpoken) -> Caption:
    """Return the caption of a sentence. `span`: its characters in the request's text."""
    written = request.text[span.start : span.end]
    ssml = request.text_type == "ssml"
    fault = "" if spoken.fault is UNSET else spoken.fault
    if spoken.words is UNSET or not spoken.words:  # of an earlier release
        text = _without_markup(written) if ssml else written
        estimated = tuple(_estimated(text, spoken.samples))
        return Caption(text, spoken.samples, estimated, measured=False, fault=fault)

    words: list[CaptionWord] = []
    text = "" if ssml else written
    for word in spoken.words:
        if ssml:
            clean = _without_markup(request.text[word.start : word.end])
            start = len(text) + bool(text)
            end = start + len(clean)
            text = f"{text} {clean}" if text else clean
        else:
            start = max(0, word.start - span.start)
            end = min(word.end - span.start, len(written))
        if start < end:
            words.append(CaptionWord(start, end, word.first_sample, word.end_sample))
    measured = spoken.word_times == "measured"
    return Caption(text, spoken.samples, tuple(words), measured=measured, fault=fault)


def _estimated(text: str, samples: int) -> Iterator[CaptionWord]:
    """Yield the words of a text with times in proportion to its length."""
    length = max(1, len(text))
    for token in _TOKEN.finditer(text):
        parts = (
            ((token.start() + index, token.start() + index + 1) for index in range(len(token[0])))
            if _UNSPACED.search(token[0])
            else (token.span(),)
        )
        for start, end in parts:
            yield CaptionWord(start, end, start * samples // length, end * samples // length)


def _without_markup(ssml: str) -> str:
    return " ".join(unescape(_MARKUP.sub(" ", ssml)).split())
