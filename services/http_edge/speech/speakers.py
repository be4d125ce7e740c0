"""The voices of sentences whose text names them."""

from services.common.wire.messages import TextSplit
from services.common.wire.parts import Speaker


def speaker_at(split: TextSplit, sentence: int) -> Speaker | None:
    """Return the voice that the text names for a sentence; None for the voice of the request."""
    if not split.speakers or not split.voices:
        return None
    number = split.speakers[sentence]
    return split.voices[number - 1] if number else None
