"""Which language a text is in, where the client leaves that to the service.

py3langid (BSD-3-Clause, 140 languages, naive Bayes over byte n-grams) ranks the languages of each paragraph; the
paragraphs vote with their lengths. Its model takes 0.9 s and 90 MB to load, so only a request that asks loads it.
"""

import asyncio
from collections import Counter
from functools import cache
from typing import Any, Final

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from services.common.wire.failures import UnsupportedLanguage
from services.common.wire.languages import LANGUAGES

AUTO: Final = "auto"
_PARAGRAPHS: Final = 50  # tell enough about a book
_CHARACTERS: Final = 1000  # of each
_LIKELY: Final = 0.2  # of all languages
_LIKELIER: Final = 2.0  # than the next of ours
_CERTAIN: Final = 0.8


async def language_of(text: str, language: str) -> str:
    """Return the language that was asked for, or, for AUTO, the text's own. Raises UnsupportedLanguage."""
    return await asyncio.to_thread(detected, text) if language == AUTO else language


def detected(text: str) -> str:
    """Return the language of ours (ISO 639-1) that most of a text is in.

    Blocks for milliseconds, at first for a second. Raises UnsupportedLanguage, which says what to send, for a text in
    another language, and for one that tells too little.
    """
    votes: Counter[str] = Counter()
    for paragraph in [part for part in text.split("\n") if part.strip()][:_PARAGRAPHS]:
        votes[_language(paragraph[:_CHARACTERS])] += min(len(paragraph), _CHARACTERS)
    certain = [(language, count) for language, count in votes.most_common() if language]
    if not certain:
        raise UnsupportedLanguage("the text tells too little about its language; send the field language")
    language = certain[0][0]
    if language not in LANGUAGES:
        raise UnsupportedLanguage(f"the text seems to be in {language}; the languages are {' '.join(LANGUAGES)}")
    return language


def _language(paragraph: str) -> str:
    """Return the likeliest language of a paragraph, of ours or certainly another; empty where nothing is likely."""
    ranked: list[tuple[str, float]] = _identifier().rank(paragraph)
    best, likelihood = ranked[0]
    if best not in LANGUAGES and likelihood >= _CERTAIN:
        return best
    ours = [(language, share) for language, share in ranked if language in LANGUAGES]
    (first, share), (_, next_share) = ours[0], ours[1]
    return first if share >= _LIKELY and share >= _LIKELIER * next_share else ""


@cache
def _identifier() -> Any:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
