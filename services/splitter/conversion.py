"""Messages in the splitter's own terms, and what it found in theirs. Pure."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from services.common.wire.estimate import audio_seconds
from services.common.wire.failures import QuotaUsedUp, UnsupportedLanguage
from services.common.wire.languages import LANGUAGES, language_code
from services.common.wire.messages import (
    MOST_LEFT_OUT,
    LeftOut,
    NormalizeText,
    Parameters,
    SentenceJob,
    Span,
    SpeechRequest,
    WorkerState,
)
from services.common.wire.parameters import RANGES
from services.common.wire.seeds import sentence_seed
from services.splitter.segmentation.process import SegmentationTask
from services.splitter.segmentation.sentences import Sentence, SplitText

AskedT = TypeVar("AskedT", SpeechRequest, NormalizeText)
_USUAL_LIMIT: Final = 250  # characters of a sentence, where no worker says how many it takes


def in_our_codes(asked: AskedT) -> AskedT:
    """Return a command with the codes of the languages that its tags mean. Raises UnsupportedLanguage."""
    passages = tuple(
        msgspec.structs.replace(passage, language=_code(passage.language, f"passages[{index}].language"))
        for index, passage in enumerate(asked.passages)
    )
    return msgspec.structs.replace(asked, language=_code(asked.language, "language"), passages=passages)


def _code(tag: str, field: str) -> str:
    code = language_code(tag)
    if code is None:
        raise UnsupportedLanguage(f"{field} names no language that is spoken; send one of {' '.join(LANGUAGES)}")
    return code


def limits_of(workers: Iterable[WorkerState]) -> dict[str, int]:
    """Return the longest sentence, in characters, that each of these workers takes, by language."""
    limits: dict[str, int] = {}
    for worker in workers:
        for language, most in worker.max_characters.items():
            limits[language] = min(most, limits.get(language, most))
    return limits


def usual_limits() -> dict[str, int]:
    """Return limits for all languages, for a text that no worker is there to speak."""
    return dict.fromkeys(LANGUAGES, _USUAL_LIMIT)


def task_of(asked: SpeechRequest | NormalizeText, limits: dict[str, int]) -> SegmentationTask:
    """Return how to divide the text of a command. Raises UnsupportedLanguage."""
    for language in (asked.language, *(passage.language for passage in asked.passages)):
        if language not in limits:
            raise UnsupportedLanguage(f"the engine {asked.engine} does not speak {language}")
    return SegmentationTask(
        text=asked.text,
        language=asked.language,
        max_characters=limits[asked.language],
        enable_text_splitting=asked.split,
        spoken_forms=asked.spoken_forms,
        pronunciations=asked.pronunciations,
        text_type=asked.text_type,
        passages=asked.passages,
        limits=limits if asked.passages or asked.text_type == "ssml" else {},
    )


def seconds_of(request: SpeechRequest, sentences: Sequence[Sentence]) -> list[float]:
    """Return the estimated audio of each sentence, its pauses included; of those spoken already, nothing."""
    asked = request.parameters.speed or 1.0
    return [
        0.0
        if index < request.first_sentence
        else audio_seconds(
            len(sentence.spoken), sentence.language or request.language, within_range(asked * sentence.rate)
        )
        + (sentence.pause_before_ms + sentence.pause_after_ms) / 1000
        for index, sentence in enumerate(sentences)
    ]


def within_range(speed: float) -> float:
    """Return the nearest speed that an engine may be asked for."""
    allowed = RANGES["speed"]
    return min(max(speed, allowed.lowest), allowed.highest)


def require_within_quota(request: SpeechRequest, seconds: Iterable[float]) -> None:
    """Raise QuotaUsedUp where a request asks for more audio than its sender has left."""
    if request.max_audio_s is not UNSET and (asked_s := sum(seconds)) > request.max_audio_s:
        raise QuotaUsedUp(
            f"the text is about {asked_s:.0f} s of audio, and {request.max_audio_s:.0f} s are left of today's quota; "
            "send a shorter one, or wait until midnight UTC"
        )


def told_left_out(division: SplitText) -> LeftOut | UnsetType:
    """Return what is left out of a text, as messages tell it; nothing where it is spoken whole."""
    characters = sum(end - start for start, end in division.left_out)
    if not characters:
        return UNSET
    return LeftOut(characters, tuple(Span(*span) for span in islice(division.left_out, MOST_LEFT_OUT)))


def languages_of(request: SpeechRequest, division: SplitText, written: str) -> tuple[str, ...]:
    """Return the language of each sentence, where some are in another than the request's as it was written."""
    languages = tuple(sentence.language or request.language for sentence in division.sentences)
    return languages if set(languages) != {written} else ()


def job_of(request: SpeechRequest, sentences: tuple[Sentence, ...], place: int) -> SentenceJob:
    """Return the command to speak the sentence at this place."""
    sentence = sentences[place]
    return SentenceJob(
        request=request.request,
        tenant=request.tenant,
        engine=request.engine,
        language=sentence.language or request.language,
        sentence=place,
        sentences=len(sentences),
        text=sentence.spoken,
        clips=request.clips,
        seed=sentence_seed(request.seed, place),
        pause_before_ms=sentence.pause_before_ms,
        pause_after_ms=sentence.pause_after_ms,
        deadline_unix_ms=request.deadline_unix_ms,
        parameters=_parameters(request.parameters, sentence),
    )


def _parameters(asked: Parameters, sentence: Sentence) -> Parameters:
    """Return the request's parameters at this sentence's speed, within what an engine may be asked for."""
    if sentence.rate == 1:
        return asked
    return msgspec.structs.replace(asked, speed=within_range((asked.speed or 1.0) * sentence.rate))
