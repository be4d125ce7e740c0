"""The parts of messages: maps without a `type` on the wire."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from services.common.wire.fields import (
    MOST_CHAPTERS,
    MOST_LEFT_OUT,
    MOST_PASSAGES,
    MOST_SPEAKERS,
    MOST_WORDS,
    Count,
    Gender,
    Language,
    LanguageTag,
    Positive,
    Seconds,
    SentenceIndex,
    Tenant,
    Title,
    VoiceName,
    VoiceReference,
)
from services.common.wire.options import Parameters


class Passage(Struct, frozen=True):
    """Characters [start, end) of the request's text, in code points, are in another language. On the wire a map."""

    start: Count
    end: Count
    language: LanguageTag


Passages = Annotated[tuple[Passage, ...], Meta(max_length=MOST_PASSAGES)]


class Speaker(Struct, frozen=True, kw_only=True):
    """A voice that parts of the request's text name. On the wire a map."""

    name: VoiceReference  # as in the text
    voice: VoiceReference
    # of its sentences, complete; unset: those of the request, and the defaults of the voice
    parameters: Parameters | UnsetType = UNSET


Speakers = Annotated[tuple[Speaker, ...], Meta(min_length=1, max_length=MOST_SPEAKERS)]

# which of `voices`, from 1; 0: the voice of the request
SpeakerNumber = Annotated[int, Meta(ge=0, le=MOST_SPEAKERS)]


class Mark(Struct, frozen=True):
    """A named position in the audio. On the wire a map."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    # `offset_ms` counts from the start of this sentence's audio or, if this is the number of
    # sentences, from the end of the audio.
    sentence: SentenceIndex
    offset_ms: Annotated[int, Meta(ge=-(2**31), le=2**31)] = 0  # negative: in the silence before
    # the mark is inside the sentence, and its position is the sentence's start
    within: bool = False


class SpokenWord(Struct, frozen=True):
    """A word of the request's text, and the part of a sentence's normalized text that speaks it. On the wire a map."""

    start: Count  # characters [start, end) of the request's text
    end: Count
    spoken_start: Count  # characters [spoken_start, spoken_end) of `SentenceJob.text`
    spoken_end: Count


class WordTime(Struct, frozen=True):
    """The samples in which a word of the request's text is spoken. On the wire a map."""

    start: Count  # characters [start, end) of the request's text
    end: Count
    first_sample: Count  # samples [first_sample, end_sample) of the sentence
    end_sample: Count


SpokenWords = Annotated[tuple[SpokenWord, ...], Meta(max_length=MOST_WORDS)]


WordTimes = Annotated[tuple[WordTime, ...], Meta(max_length=MOST_WORDS)]


TimesOrigin = Literal["measured", "estimated"]


class Span(Struct, frozen=True):
    """Characters [start, end) of the request's text, counted in Unicode code points. On the wire a map."""

    start: Count
    end: Count


class Portion(Struct, frozen=True):
    """Sentences [first, until) of a request that are synthesized now; later ones have to be requested.

    On the wire a map.
    """

    first: SentenceIndex
    until: SentenceIndex


class Chapter(Struct, frozen=True):
    """A part of a job's text, to the next chapter or the end. On the wire a map."""

    title: Title
    start: Count  # its first character, in Unicode code points


Chapters = Annotated[tuple[Chapter, ...], Meta(max_length=MOST_CHAPTERS)]


class LeftOut(Struct, frozen=True):
    """Letters of the request's text that no voice of their language can speak. On the wire a map."""

    characters: Positive  # of all of them
    spans: Annotated[
        tuple[Span, ...], Meta(min_length=1, max_length=MOST_LEFT_OUT)
    ]  # the first ones, in order


class BuiltInVoice(Struct, frozen=True, kw_only=True):
    """A voice that an engine brings along. On the wire a map."""

    name: VoiceName
    gender: Gender
    # that its speaker is a native of, ISO 639-1; empty: all of the engine's
    languages: tuple[Language, ...] = ()


BuiltInVoices = Annotated[tuple[BuiltInVoice, ...], Meta(max_length=1_000)]


class NormalizedSentence(Struct, frozen=True):
    """Characters [start, end) of a text, and their normalized form. On the wire a map."""

    start: Count
    end: Count
    text: Annotated[str, Meta(min_length=1)]
    language: Language


class EngineBacklog(Struct, frozen=True):
    """The part of a splitter's backlog that one engine has to synthesize. On the wire a map."""

    queued_audio_s: Seconds
    due_audio_s: dict[Tenant, Seconds]
