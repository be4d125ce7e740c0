"""Detects the languages of a text, for clients that send `language=auto`.

py3langid (BSD-3-Clause, 140 languages, naive Bayes over byte n-grams) ranks the languages of each
paragraph; each paragraph votes with its length. Its model takes 0.9 s of a processor and 90 MB to
load: an edge loads it before it is ready (PRELOAD_LANGUAGES), or for the first request that needs it.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from services.common.wire.failures import UnsupportedLanguage
from services.common.wire.languages import LANGUAGES
from services.common.wire.parts import Passage
from services.common.wire.punctuation import SPACED_ENDS, WIDE_ENDS

AUTO: Final = "auto"
# that are ranked, 0.1 ms each; the rest of the text counts as the main language
_PARAGRAPHS: Final = 2_000
_CHARACTERS: Final = 1000  # of each
_LIKELY: Final = 0.2  # of all languages
_LIKELIER: Final = 2.0  # than the next supported language
_CERTAIN: Final = 0.8
_LEAST_BYTES: Final = 24  # of UTF-8: a shorter paragraph gets the language of its neighbours
# A line that ends with a sentence ends a paragraph, as does an empty line: wrapped prose stays in one paragraph.
_ENDS: Final = frozenset(SPACED_ENDS + WIDE_ENDS + ":")
_CLOSERS: Final = "\"'”’»)」』 "
_LOADING: Final = threading.Lock()


class UndetectableLanguage(UnsupportedLanguage):
    """The text is too short or ambiguous to detect its language."""


def detected(text: str) -> tuple[str, tuple[Passage, ...]]:
    """Return the supported language (ISO 639-1) of most of a text, and the passages in other languages.

    Blocks for milliseconds; the first call for a second. Raises UnsupportedLanguage for a text in an unsupported
    language, and for one that is too short or ambiguous to detect.
    """
    votes: Counter[str] = Counter()
    paragraphs: list[tuple[int, int, str]] = []
    for start, end in _paragraphs(text):
        paragraph = text[start:end].strip()
        if not paragraph:
            continue
        likely, certain = _language(paragraph[:_CHARACTERS])
        votes[likely] += min(len(paragraph), _CHARACTERS)
        reliable = (
            certain
            and likely in LANGUAGES
            and len(paragraph.encode("utf-8", "replace")) >= _LEAST_BYTES
        )
        paragraphs.append((start, end, likely if reliable else ""))
    language = _most(votes)
    return language, tuple(_passages(paragraphs, language))


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the first paragraphs, each with the empty lines after it."""
    start = offset = count = 0
    ended = False
    for line in text.split("\n"):
        content = line.strip()
        if ended and content:
            yield start, offset
            start = offset
            ended = False
            count += 1
            if count == _PARAGRAPHS:
                return
        ended = ended or not content or content.rstrip(_CLOSERS)[-1:] in _ENDS
        offset += len(line) + 1
    yield start, len(text)


def _most(votes: Counter[str]) -> str:
    certain = [(language, count) for language, count in votes.most_common() if language]
    if not certain:
        raise UndetectableLanguage(
            "the language of the text cannot be detected; send the field language"
        )
    language = certain[0][0]
    if language not in LANGUAGES:
        raise UnsupportedLanguage(
            f"the text seems to be in {language}; supported languages are {' '.join(LANGUAGES)}"
        )
    return language


def _passages(paragraphs: list[tuple[int, int, str]], language: str) -> Iterator[Passage]:
    """Yield adjacent paragraphs in the same other language as one passage.

    A paragraph without a reliable language belongs to the one before it.
    """
    current: Passage | None = None
    for start, end, found in paragraphs:
        if current is not None and found in ("", current.language):
            current = Passage(current.start, end, current.language)
            continue
        if current is not None:
            yield current
        current = Passage(start, end, found) if found not in ("", language) else None
    if current is not None:
        yield current


def _language(paragraph: str) -> tuple[str, bool]:
    """Return the likeliest language of a paragraph, and whether it is certain.

    It is a supported language, or another one if that is certain; empty if none is likely.
    """
    ranked: list[tuple[str, float]] = _identifier().rank(paragraph)
    best, likelihood = ranked[0]
    if best not in LANGUAGES and likelihood >= _CERTAIN:
        return best, True
    supported = [(language, share) for language, share in ranked if language in LANGUAGES]
    (first, share), (_, next_share) = supported[0], supported[1]
    likely = first if share >= _LIKELY and share >= _LIKELIER * next_share else ""
    return likely, first == best and share >= _CERTAIN


def preload() -> None:
    """Load the model. Blocks for a second the first time."""
    _identifier()


def _identifier() -> Any:
    """Return the model, loaded once: by the first of several threads that need it, while the others wait."""
    with _LOADING:
        return _model()


@cache
def _model() -> Any:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
