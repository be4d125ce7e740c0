"""What a form's text is: how much of it is spoken, and in which languages."""

import asyncio
from dataclasses import replace
from typing import Final

from services.common.ssml.reader import read_ssml
from services.common.wire.failures import EmptyText
from services.http_edge.detection import AUTO, detected
from services.http_edge.form import Form

_AT_ONCE: Final = 4_000  # characters of SSML, read in a few milliseconds


async def understood(form: Form) -> Form:
    """Return the form with its languages, while the event loop goes on.

    Raises MalformedSsml, EmptyText, and for AUTO UnsupportedLanguage.
    """
    if form.text_type == "ssml":
        at_once = len(form.text) <= _AT_ONCE and form.language != AUTO
        return _read(form) if at_once else await asyncio.to_thread(_read, form)
    if form.language != AUTO:
        return replace(form, languages=(form.language,))
    language, passages = await asyncio.to_thread(detected, form.text)
    languages = dict.fromkeys((language, *(passage.language for passage in passages)))
    return replace(form, language=language, passages=passages, languages=tuple(languages))


def _read(form: Form) -> Form:
    """Return the form of an SSML document, which says its languages itself, or leaves them to the form."""
    document = read_ssml(form.text)
    plain = document.text
    if not plain.strip():
        raise EmptyText("the SSML holds no text; send at least one word")
    language = document.language or form.language
    if language == AUTO:
        language, _ = detected(plain)
    languages = tuple(document.languages()) if document.language else (language, *document.languages())
    return replace(form, language=language, characters=len(plain), languages=tuple(dict.fromkeys(languages)))
