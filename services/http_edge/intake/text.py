"""Finds the languages of a form's text, and estimates the length of its audio."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.common.ssml.dialogue import dialogue_parts
from services.common.ssml.document import Break, Document, TextRun
from services.common.ssml.reader import read_ssml
from services.common.wire.estimate import audio_seconds
from services.common.wire.failures import EmptyText
from services.common.wire.parameters import RANGES
from services.common.wire.parts import Passage
from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.form import Form
from services.http_edge.intake.language import AUTO, UndetectableLanguage, detected

_INLINE: Final = 4_000  # characters, which take a few milliseconds on the event loop
_PARAGRAPH_S: Final = 0.6  # of silence between two
_TOKEN: Final = re.compile(r"\w+")


async def understood(form: Form) -> Form:
    """Return the form with its languages and estimated audio, without blocking the event loop.

    Raises MalformedSsml, EmptyText, BadRequest for a dialogue without speakers, and for AUTO UnsupportedLanguage.
    """
    inline = len(form.text) <= _INLINE and form.language != AUTO
    understand = _understood_ssml if form.options.text_type == "ssml" else _understood_plain
    return understand(form) if inline else await asyncio.to_thread(understand, form)


def _understood_plain(form: Form) -> Form:
    """Return the form of a plain text, whose languages are detected for AUTO."""
    language, passages = _detected(form) if form.language == AUTO else (form.language, ())
    languages = dict.fromkeys((language, *(passage.language for passage in passages)))
    form = replace(form, language=language, passages=passages, languages=tuple(languages))
    if form.options.text_type == "dialogue":
        form = replace(form, names=_speakers(form))
    return replace(form, audio_s=_plain_s(form))


def _speakers(form: Form) -> tuple[str, ...]:
    """Return the names of the voices that speak a dialogue."""
    names = dict.fromkeys(part.speaker for part in dialogue_parts(form.text, form.voices))
    if not any(names):
        raise BadRequest(
            "no line of the text begins with a name of voices and a colon; write it at the beginning of each part",
            field="text",
        )
    return tuple(names)


def _detected(form: Form) -> tuple[str, tuple[Passage, ...]]:
    try:
        return detected(form.text)
    except UndetectableLanguage:
        if form.fallback_language is None:
            raise
        return form.fallback_language, ()


def _understood_ssml(form: Form) -> Form:
    """Return the form of an SSML document, which declares its languages itself, or has that of the form."""
    document = read_ssml(form.text)
    plain = document.text
    if not plain.strip():
        raise EmptyText("the SSML contains no text; send at least one word")
    language = document.language or form.language
    if language == AUTO:
        language, _ = detected(plain)
    languages = (
        tuple(document.languages()) if document.language else (language, *document.languages())
    )
    form = replace(
        form,
        language=language,
        languages=tuple(dict.fromkeys(languages)),
        names=document.voices(),
    )
    return replace(form, audio_s=_document_s(document, form))


def _plain_s(form: Form) -> float:
    """Estimate the seconds of audio of a plain text.

    The splitter also verbalizes numbers, and estimates more.
    """
    text = form.text
    speed = form.parameters.speed or 1.0
    offset = 0
    seconds = 0.0
    for passage in form.passages:
        seconds += audio_seconds(_written(text[offset : passage.start]), form.language, speed)
        seconds += audio_seconds(
            _written(text[passage.start : passage.end]), passage.language, speed
        )
        offset = passage.end
    seconds += audio_seconds(_written(text[offset:]), form.language, speed)
    return seconds * _growth(text, form.options.pronunciations) + _PARAGRAPH_S * text.strip().count(
        "\n\n"
    )


def _document_s(document: Document, form: Form) -> float:
    """Estimate the seconds of audio of an SSML document, with its breaks and rates."""
    speed = form.parameters.speed or 1.0
    allowed = RANGES["speed"]
    seconds = sum(
        audio_seconds(
            _written(item.text),
            item.style.language or form.language,
            min(max(speed * item.style.rate, allowed.lowest), allowed.highest),
        )
        for item in document.items
        if isinstance(item, TextRun)
    )
    silence_ms = sum(item.milliseconds for item in document.items if isinstance(item, Break))
    return seconds * _growth(document.text, form.options.pronunciations) + silence_ms / 1000


def _written(text: str) -> int:
    return len(" ".join(text.split()))


def _growth(text: str, pronunciations: Mapping[str, str]) -> float:
    """Return the factor by which pronunciations lengthen a text.

    Words that overlap count more than once.
    """
    if not pronunciations:
        return 1.0
    tokens = Counter(_TOKEN.findall(text))
    more = 0
    for word, replacement in pronunciations.items():
        token = word.isascii() and _TOKEN.fullmatch(word) is not None
        more += (tokens[word] if token else text.count(word)) * (len(replacement) - len(word))
    return max(0.0, 1 + more / max(1, _written(text)))
