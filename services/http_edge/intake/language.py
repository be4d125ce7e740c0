"""Which languages a text is in, where the client leaves that to the service.

py3langid (BSD-3-Clause, 140 languages, naive Bayes over byte n-grams) ranks the languages of each paragraph; the
paragraphs vote with their lengths. Its model takes 0.9 s and 90 MB to load, so only a request that asks loads it.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from services.common.wire.failures import UnsupportedLanguage
from services.common.wire.languages import LANGUAGES
from services.common.wire.messages import Passage
from services.common.wire.punctuation import SPACED_ENDS, WIDE_ENDS

AUTO: Final = "auto"
_PARAGRAPHS: Final = 2_000  # that are asked about, 0.1 ms each; what follows is in the language of most
_CHARACTERS: Final = 1000  # of each
_LIKELY: Final = 0.2  # of all languages
_LIKELIER: Final = 2.0  # than the next of ours
_CERTAIN: Final = 0.8
_TELLING_BYTES: Final = 24  # of UTF-8: a shorter paragraph is in the language of those around it
# A line that ends with one of these ends a paragraph, as an empty line does: wrapped prose is not split.
_ENDS: Final = frozenset(SPACED_ENDS + WIDE_ENDS + ":")
_CLOSERS: Final = "\"'”’»)」』 "


def detected(text: str) -> tuple[str, tuple[Passage, ...]]:
    """Return the language of ours (ISO 639-1) that most of a text is in, and the passages in others.

    Blocks for milliseconds, at first for a second. Raises UnsupportedLanguage, which says what to send, for a text in
    another language, and for one that tells too little.
    """
    votes: Counter[str] = Counter()
    told: list[tuple[int, int, str]] = []
    for start, end in _paragraphs(text):
        paragraph = text[start:end].strip()
        if not paragraph:
            continue
        likely, certain = _language(paragraph[:_CHARACTERS])
        votes[likely] += min(len(paragraph), _CHARACTERS)
        telling = certain and likely in LANGUAGES and len(paragraph.encode("utf-8", "replace")) >= _TELLING_BYTES
        told.append((start, end, likely if telling else ""))
    language = _most(votes)
    return language, tuple(_passages(told, language))


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of the first paragraphs, each with the empty lines behind it."""
    start = place = count = 0
    ended = False
    for line in text.split("\n"):
        content = line.strip()
        if ended and content:
            yield start, place
            start, ended, count = place, False, count + 1
            if count == _PARAGRAPHS:
                return
        ended = ended or not content or content.rstrip(_CLOSERS)[-1:] in _ENDS
        place += len(line) + 1
    yield start, len(text)


def _most(votes: Counter[str]) -> str:
    certain = [(language, count) for language, count in votes.most_common() if language]
    if not certain:
        raise UnsupportedLanguage("the text tells too little about its language; send the field language")
    language = certain[0][0]
    if language not in LANGUAGES:
        raise UnsupportedLanguage(f"the text seems to be in {language}; the languages are {' '.join(LANGUAGES)}")
    return language


def _passages(told: list[tuple[int, int, str]], language: str) -> Iterator[Passage]:
    """Yield neighbouring paragraphs of one other language together; one that tells nothing is as the one before."""
    current: Passage | None = None
    for start, end, found in told:
        if current is not None and found in ("", current.language):
            current = Passage(current.start, end, current.language)
            continue
        if current is not None:
            yield current
        current = Passage(start, end, found) if found not in ("", language) else None
    if current is not None:
        yield current


def _language(paragraph: str) -> tuple[str, bool]:
    """Return the likeliest language of a paragraph, of ours or certainly another, and whether it is certain.

    Empty where nothing is likely.
    """
    ranked: list[tuple[str, float]] = _identifier().rank(paragraph)
    best, likelihood = ranked[0]
    if best not in LANGUAGES and likelihood >= _CERTAIN:
        return best, True
    ours = [(language, share) for language, share in ranked if language in LANGUAGES]
    (first, share), (_, next_share) = ours[0], ours[1]
    likely = first if share >= _LIKELY and share >= _LIKELIER * next_share else ""
    return likely, first == best and share >= _CERTAIN


@cache
def _identifier() -> Any:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
