"""Reads the values of form fields that are JSON or have a type of the wire contract."""

from itertools import pairwise
from typing import Annotated

import msgspec
from msgspec import Meta

from services.common.wire.fields import (
    LONGEST_TITLE,
    MOST_CHAPTERS,
    MOST_SPEAKERS,
    Pronunciations,
    Title,
    VoiceReference,
)
from services.common.wire.parts import Chapter, Chapters
from services.http_edge.errors import BadRequest

_Voices = Annotated[dict[VoiceReference, VoiceReference], Meta(max_length=MOST_SPEAKERS)]


def read_voices(given: str) -> dict[str, str]:
    """Return the voice of each name in a text. Raises BadRequest."""
    try:
        return msgspec.json.decode(given, type=_Voices)
    except msgspec.DecodeError:  # of JSON or of the type
        raise BadRequest(
            f"voices must be a JSON object of at most {MOST_SPEAKERS} names and their voices, each of at most "
            '100 characters: {"Anna": "builtin:af_heart"}'
        ) from None


def read_pronunciations(given: str) -> dict[str, str]:
    """Return the replacement of each word. Raises BadRequest."""
    try:
        return msgspec.json.decode(given, type=Pronunciations)
    except msgspec.DecodeError:  # of JSON or of the type
        raise BadRequest(
            'pronunciations must be a JSON object of at most 500 words of at most 100 characters: {"SQL": "sequel"}'
        ) from None


def read_title(given: str) -> str:
    """Return a title of one line. Raises BadRequest."""
    try:
        return msgspec.convert(given, Title)
    except msgspec.ValidationError:
        raise BadRequest(f"title must be one line of at most {LONGEST_TITLE} characters") from None


def read_chapters(given: str) -> tuple[Chapter, ...]:
    """Return chapters in the order of the text. Raises BadRequest."""
    try:
        chapters: tuple[Chapter, ...] = msgspec.json.decode(given, type=Chapters)
    except msgspec.DecodeError:  # of JSON or of the type
        raise BadRequest(
            f"chapters must be a JSON array of at most {MOST_CHAPTERS} chapters, each with a title of one line and "
            f'at most {LONGEST_TITLE} characters: [{{"title": "One", "start": 0}}]'
        ) from None
    if any(after.start <= before.start for before, after in pairwise(chapters)):
        raise BadRequest("chapters must be in order; send each start once, in ascending order")
    return chapters
