"""Converts wire messages to the splitter's types and back. Pure."""

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from services.common.wire.estimate import audio_seconds
from services.common.wire.failures import MalformedMessage, QuotaUsedUp, UnsupportedLanguage
from services.common.wire.fields import MOST_LEFT_OUT, MOST_WORDS
from services.common.wire.languages import LANGUAGES, language_code
from services.common.wire.messages import NormalizeText, SentenceJob, SpeechRequest, WorkerState
from services.common.wire.options import AS_USUAL, Parameters, TextOptions
from services.common.wire.parameters import RANGES, require_taken
from services.common.wire.parts import LeftOut, Span, Speaker, SpokenWord
from services.common.wire.seeds import sentence_seed
from services.splitter.segmentation.process import SegmentationTask
from services.splitter.segmentation.sentences import Sentence, SplitText
from services.splitter.segmentation.words import unpacked

CommandT = TypeVar("CommandT", SpeechRequest, NormalizeText)
_USUAL_LIMIT: Final = 250  # characters of a sentence, if no live worker reports its limit


def with_language_codes(command: CommandT) -> CommandT:
    """Return a command with its language tags replaced by language codes. Raises
    UnsupportedLanguage."""
    passages = tuple(
        msgspec.structs.replace(
            passage, language=_code(passage.language, f"passages[{index}].language")
        )
        for index, passage in enumerate(command.passages)
    )
    return msgspec.structs.replace(
        command, language=_code(command.language, "language"), passages=passages
    )


def _code(tag: str, field: str) -> str:
    code = language_code(tag)
    if code is None:
        raise UnsupportedLanguage(
            f"{field} is not a supported language; send one of {' '.join(LANGUAGES)}"
        )
    return code


def limits_of(workers: Iterable[WorkerState]) -> dict[str, int]:
    """Return, by language, the longest sentence that all of these workers accept, in characters."""
    limits: dict[str, int] = {}
    for worker in workers:
        for language, most in worker.max_characters.items():
            limits[language] = min(most, limits.get(language, most))
    return limits


def usual_limits() -> dict[str, int]:
    """Return default limits for all languages, for when no worker is available."""
    return dict.fromkeys(LANGUAGES, _USUAL_LIMIT)


def task_of(command: SpeechRequest | NormalizeText, limits: dict[str, int]) -> SegmentationTask:
    """Return the segmentation task of a command. Raises UnsupportedLanguage, MalformedMessage."""
    if command.text_type == "dialogue" and not command.voices:
        raise MalformedMessage(
            "a dialogue needs voices; send the name and the voice of each speaker"
        )
    for language in (command.language, *(passage.language for passage in command.passages)):
        if language not in limits:
            raise UnsupportedLanguage(f"the engine {command.engine} does not speak {language}")
    return SegmentationTask(
        text=command.text,
        language=command.language,
        max_characters=limits[command.language],
        options=TextOptions.of(command),
        passages=command.passages,
        limits=limits if command.passages or command.text_type == "ssml" else {},
        speakers=tuple(speaker.name for speaker in command.voices or ()),
    )


def names_of(division: SplitText) -> tuple[str, ...]:
    """Return the names of the voices that speak a text; empty for that of the request."""
    return tuple(dict.fromkeys(sentence.voice for sentence in division.sentences))


def speakers_of(request: SpeechRequest, division: SplitText) -> tuple[int, ...] | UnsetType:
    """Return the number of each sentence's voice, as `TextSplit` has it."""
    if request.voices is UNSET:
        return UNSET
    numbers = {speaker.name: number for number, speaker in enumerate(request.voices, 1)}
    return tuple(numbers.get(sentence.voice, 0) for sentence in division.sentences)


def speaker_of(request: SpeechRequest, sentence: Sentence) -> Speaker | None:
    """Return the resolved voice that a sentence names; None for the voice of the request."""
    if not sentence.voice:
        return None
    return next(speaker for speaker in request.voices or () if speaker.name == sentence.voice)


def parameters_of(request: SpeechRequest, sentence: Sentence) -> Parameters:
    """Return the parameters of a sentence's voice."""
    speaker = speaker_of(request, sentence)
    return request.parameters if speaker is None else speaker.parameters or request.parameters


def seconds_of(request: SpeechRequest, sentences: Sequence[Sentence]) -> list[float]:
    """Return the estimated audio of each sentence, with its pauses, in seconds; 0 for those spoken
    already."""
    return [
        0.0
        if index < request.first_sentence
        else audio_seconds(
            len(sentence.spoken),
            sentence.language or request.language,
            within_range((parameters_of(request, sentence).speed or 1.0) * sentence.rate),
        )
        + (sentence.pause_before_ms + sentence.pause_after_ms) / 1000
        for index, sentence in enumerate(sentences)
    ]


def within_range(speed: float) -> float:
    """Return the nearest speed within the allowed range."""
    allowed = RANGES["speed"]
    return min(max(speed, allowed.lowest), allowed.highest)


def require_supported(
    request: SpeechRequest, division: SplitText, supported: Collection[str]
) -> None:
    """Raise UnsupportedParameter if a sentence has one that the engine does not support."""
    used = [request.parameters, *(each.parameters or AS_USUAL for each in request.voices or ())]
    if any(sentence.rate != 1 for sentence in division.sentences):
        used.append(Parameters(speed=1.0))
    for parameters in used:
        require_taken(parameters, engine=request.engine, takes=supported)


def require_within_quota(request: SpeechRequest, seconds: Iterable[float]) -> None:
    """Raise QuotaUsedUp if the estimated audio exceeds what is left of the client's quota."""
    if request.max_audio_s is not UNSET and (requested_s := sum(seconds)) > request.max_audio_s:
        raise QuotaUsedUp(
            f"the text is about {requested_s:.0f} s of audio, and "
            f"{request.max_audio_s:.0f} s are left of today's quota; "
            "send a shorter one, or wait until midnight UTC"
        )


def left_out_of(division: SplitText) -> LeftOut | UnsetType:
    """Return what is left out of a text, as a message field; UNSET if the whole text is spoken."""
    characters = sum(end - start for start, end in division.left_out)
    if not characters:
        return UNSET
    return LeftOut(
        characters, tuple(Span(*span) for span in islice(division.left_out, MOST_LEFT_OUT))
    )


def languages_of(request: SpeechRequest, division: SplitText, written: str) -> tuple[str, ...]:
    """Return the language of each sentence; empty if all are in the request's language as its
    client wrote it."""
    languages = tuple(sentence.language or request.language for sentence in division.sentences)
    return languages if set(languages) != {written} else ()


def job_of(request: SpeechRequest, sentences: tuple[Sentence, ...], index: int) -> SentenceJob:
    """Return the command to synthesize the sentence at this index."""
    sentence = sentences[index]
    speaker = speaker_of(request, sentence)
    words = tuple(SpokenWord(*word) for word in islice(unpacked(sentence.words), MOST_WORDS))
    return SentenceJob(
        request=request.request,
        tenant=request.tenant,
        engine=request.engine,
        language=sentence.language or request.language,
        sentence=index,
        sentences=len(sentences),
        text=sentence.spoken,
        clips=request.clips if speaker is None else (),
        voice=request.voice if speaker is None else speaker.voice,
        seed=sentence_seed(request.seed, index),
        pause_before_ms=sentence.pause_before_ms,
        pause_after_ms=sentence.pause_after_ms,
        deadline_unix_ms=request.deadline_unix_ms,
        parameters=_parameters(parameters_of(request, sentence), sentence),
        words=words or UNSET,
        watermark=request.watermark,
    )


def _parameters(parameters: Parameters, sentence: Sentence) -> Parameters:
    """Return the request's parameters with this sentence's speed, within the allowed range."""
    if sentence.rate == 1:
        return parameters
    return msgspec.structs.replace(
        parameters, speed=within_range((parameters.speed or 1.0) * sentence.rate)
    )
