"""SSML in the pages: a text that is such a document is sent as one, and shown without its markup. Pure."""

import re
from html import unescape
from typing import Final

_DOCUMENT: Final = re.compile(r"\s*(<\?xml[^>]*>\s*)?<speak[\s>]")
_MARKUP: Final = re.compile(r"<!--.*?-->|<[^>]*>", re.DOTALL)


def is_ssml(text: str) -> bool:
    """Return whether a text is an SSML document (https://www.w3.org/TR/speech-synthesis11/)."""
    return _DOCUMENT.match(text) is not None


def without_markup(ssml: str) -> str:
    """Return the words of a document or of a part of one, a blank where its markup was."""
    return unescape(_MARKUP.sub(" ", ssml))
