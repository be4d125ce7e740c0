"""The messages of the public contract, version 1.

Commands are named for what is to be done (`SpeechRequest`), facts are in the past tense (`SentenceSpoken`).
On the wire each is a MessagePack map with the field names below and `type`, the class name. A reader ignores unknown
fields; within version 1 only optional fields can be added. docs/wire.md documents the messages, and
tests/contract/test_wire.py compares their bytes.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from services.common.wire.fields import (
    MOST_NORMALIZED,
    MOST_SENTENCES,
    Attempt,
    ChunkIndex,
    ClipId,
    Count,
    Digest,
    EngineName,
    JobLabel,
    JobOrigin,
    JobState,
    Lane,
    Language,
    LanguageTag,
    MaybeClips,
    Pause,
    PortionSeconds,
    Positive,
    Pronunciations,
    RequestId,
    SampleRate,
    Seconds,
    Seed,
    SentenceCount,
    SentenceIndex,
    Slots,
    Tenant,
    TextType,
    Title,
    UnixMilliseconds,
    VoiceName,
    VoiceReference,
    Watermark,
    WorkerId,
)
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.parts import (
    BuiltInVoices,
    Chapters,
    EngineBacklog,
    LeftOut,
    Mark,
    NormalizedSentence,
    Passages,
    Portion,
    Span,
    SpeakerNumber,
    Speakers,
    SpokenWords,
    TimesOrigin,
    WordTimes,
)


class Message(Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """The base of all messages: immutable, named by `type` on the wire."""


class SpeechRequest(Message, frozen=True, kw_only=True):
    """Synthesize this text. From a client or the edge, on `tts.v1.request.<tenant>`."""

    request: RequestId
    tenant: Tenant
    engine: EngineName
    language: LanguageTag
    text: Annotated[str, Meta(min_length=1)]
    clips: MaybeClips = ()  # of one speaker, one or more recordings; empty where `voice` is sent
    seed: Seed
    split: bool = True
    spoken_forms: bool = True
    pronunciations: Pronunciations = {}
    deadline_unix_ms: UnixMilliseconds  # sentences not started by then are dropped
    parameters: Parameters = AS_USUAL
    first_sentence: SentenceIndex = 0  # earlier ones are skipped; indices and seeds do not change
    text_type: TextType = "text"
    passages: Passages = ()  # in other languages, in order; of plain text only
    max_audio_s: Seconds | UnsetType = UNSET  # refuse a longer text, by estimate; unset: no limit
    # about this much from `first_sentence` on; unset: all
    portion_s: PortionSeconds | UnsetType = UNSET
    first_lane: Lane | UnsetType = UNSET  # of the first sentence; unset: express
    # of the library, instead of `clips`; neither: the default voice of the language
    voice: VoiceReference | UnsetType = UNSET
    # false: `parameters` are complete, those of the voice are not added
    voice_defaults: bool | UnsetType = UNSET
    title: Title | UnsetType = UNSET  # of a job
    chapters: Chapters | UnsetType = UNSET  # of a job's text, in order
    # of its audio, set by the edge, so that every attempt has the same samples; unset: as the worker is set
    watermark: Watermark | UnsetType = UNSET
    # of the names in the text; a name that is not listed is the reference of its voice
    voices: Speakers | UnsetType = UNSET


class SentenceJob(Message, frozen=True, kw_only=True):
    """Synthesize this sentence.

    From the splitter, on `tts.v1.sentence.<engine>.<lane>.<tenant>.<request>.<sentence>`.
    """

    request: RequestId
    tenant: Tenant
    engine: EngineName
    language: Language
    sentence: SentenceIndex  # in the text, from 0
    sentences: SentenceCount  # of the text
    text: Annotated[str, Meta(min_length=1)]  # normalized
    clips: MaybeClips = ()
    seed: Seed  # derived from the request's seed and the sentence's index
    pause_after_ms: Pause  # silence at the end of this sentence's samples
    deadline_unix_ms: UnixMilliseconds
    parameters: Parameters = AS_USUAL
    pause_before_ms: Pause = 0  # silence at the start of this sentence's samples
    # resolved: `voices.ResolvedVoice.reference`; instead of `clips`
    voice: VoiceReference | UnsetType = UNSET
    # in the order of the text; unset: the end marker has no word times
    words: SpokenWords | UnsetType = UNSET
    watermark: Watermark | UnsetType = UNSET  # that of the request


class TextSplit(Message, frozen=True, kw_only=True):
    """The sentences of the text. On `tts.v1.audio.<tenant>.<request>.split`, before the first audio."""

    request: RequestId
    sentences: Annotated[tuple[Span, ...], Meta(min_length=1, max_length=MOST_SENTENCES)]
    dropped: tuple[Span, ...]  # not synthesized: white space, lone punctuation, markup
    languages: tuple[Language, ...] = ()  # one per sentence; empty: all are in the request's
    marks: tuple[Mark, ...] = ()  # in the order of the text
    left_out: LeftOut | UnsetType = UNSET  # unset: nothing was left out
    # estimated from `first_sentence` on; set if there is a limit
    audio_s: Seconds | UnsetType = UNSET
    portion: Portion | UnsetType = UNSET  # synthesized now; unset: all from `first_sentence` on
    # that speaks it, resolved; unset: the request has clips
    voice: VoiceReference | UnsetType = UNSET
    # of the request, with defaults of its voice; unset: those of the request
    parameters: Parameters | UnsetType = UNSET
    # those that the text names, resolved, with complete parameters; unset: it names none
    voices: Speakers | UnsetType = UNSET
    # of each sentence; set if `voices` is
    speakers: Annotated[tuple[SpeakerNumber, ...], Meta(max_length=MOST_SENTENCES)] | UnsetType = (
        UNSET
    )


class AudioChunk(Message, frozen=True, kw_only=True):
    """A chunk of a sentence's audio, on `tts.v1.audio.<tenant>.<request>.<sentence>.<chunk>`.

    Chunks are ordered by index, not by arrival: a redelivered sentence repeats its chunks with the
    same bytes at the same index, unless they have `varies`.
    """

    request: RequestId
    sentence: SentenceIndex
    chunk: ChunkIndex  # index in the sentence, from 0
    attempt: Attempt  # delivery of the `SentenceJob` that produced it
    first_sample: Count  # offset of the first sample in the sentence
    sample_rate_hz: SampleRate
    pcm: bytes  # mono, 16-bit little-endian
    # true: another attempt can have other samples, so use the chunks of one attempt; not sent: equal ones
    varies: bool | UnsetType = UNSET


class SentenceSpoken(Message, frozen=True, kw_only=True):
    """A sentence is complete. On `tts.v1.audio.<tenant>.<request>.<sentence>.end`, after its chunks are stored."""

    request: RequestId
    sentence: SentenceIndex
    sentences: SentenceCount
    attempt: Attempt
    chunks: ChunkIndex
    samples: Count
    sample_rate_hz: SampleRate
    digest: Digest  # SHA-256 of the sentence's PCM, all chunks in order
    worker: WorkerId
    queue_ms: Count  # from the publication of its `SentenceJob` to its delivery
    synthesis_ms: Count  # time in the engine's steps
    words: WordTimes | UnsetType = UNSET  # in the order of the text
    # how the times were found: in the engine, or in proportion to the length of the words
    word_times: TimesOrigin | UnsetType = UNSET
    # why it is faulty or ends early: every attempt went wrong, and this is the last one; unset: it does not
    fault: Annotated[str, Meta(min_length=1, max_length=32)] | UnsetType = UNSET


class SpeechFailed(Message, frozen=True, kw_only=True):
    """The request cannot be completed. On `...<request>.<sentence>.end` for a sentence, else `...<request>.failed`."""

    request: RequestId
    sentence: SentenceIndex | None
    code: str  # one of services/common/wire/failures.py
    detail: str  # contains the remedy, never the text
    retryable: bool  # whether the same request may succeed later


class CancelSpeech(Message, frozen=True, kw_only=True):
    """Stop this request. Core NATS, on `tts.v1.cancel.<tenant>.<request>`."""

    request: RequestId
    tenant: Tenant
    reason: str


class JobProgress(Message, frozen=True, kw_only=True):
    """Progress of a job. The value of the key `job.<tenant>.<job>` in the bucket `TTS_PROGRESS`."""

    job: RequestId
    state: JobState
    created_unix_ms: UnixMilliseconds
    deadline_unix_ms: UnixMilliseconds
    sentences: SentenceIndex = 0  # of the text; 0 until known
    spoken: SentenceIndex = 0  # sentences whose audio is stored, from the first on
    samples: Count = 0  # of these sentences
    sample_rate_hz: Count = 0  # 0 before the first audio
    # from the measured speed, once there is one
    estimated_end_unix_ms: UnixMilliseconds | None = None
    code: str = ""  # of the failure, if it failed
    detail: str = ""  # contains the remedy, never the text
    # that speaks it, resolved; unset: the request has clips
    voice: VoiceReference | UnsetType = UNSET
    title: Title | UnsetType = UNSET
    language: LanguageTag | UnsetType = UNSET
    characters: Count | UnsetType = UNSET  # of the text
    begun_unix_ms: UnixMilliseconds | UnsetType = UNSET  # first audio stored
    ended_unix_ms: UnixMilliseconds | UnsetType = UNSET
    revision: Count | UnsetType = UNSET  # of the audio: how often a sentence was replaced
    chapters: Count | UnsetType = UNSET  # of the text; unset: none
    origin: JobOrigin | UnsetType = UNSET  # unset: it was queued as a job
    label: JobLabel | UnsetType = UNSET
    engine: EngineName | UnsetType = UNSET  # unset: a job of an earlier release


class WorkerState(Message, frozen=True, kw_only=True):
    """A worker is alive. Core NATS, once a second, on `tts.v1.worker.<engine>.<worker>`."""

    worker: WorkerId
    engine: EngineName
    engine_version: str
    state: Literal["loading", "ready", "draining", "failed"]
    detail: str  # why it failed, or how far loading is; empty when ready
    languages: tuple[Language, ...]
    max_characters: dict[str, Positive]  # language -> longest sentence
    licence: str
    sample_rate_hz: SampleRate
    device: str
    slots: Annotated[int, Meta(ge=1, le=100_000)]  # sentences that it synthesizes concurrently
    busy: Slots
    # recent synthesis seconds per second of audio; none before the first sentence
    real_time_factor: Seconds | None
    # supported ones with their defaults; names as in `Parameters`
    parameters: dict[str, Annotated[float, Meta(ge=-1e12, le=1e12)]] = {}
    # built-in voices of the engine; unset: it has none
    voices: BuiltInVoices | UnsetType = UNSET
    # language -> the built-in voice of requests that name none
    default_voices: dict[Language, VoiceName] | UnsetType = UNSET
    # in the audio of its engine; unset: the worker is older than watermarks
    watermark: Watermark | UnsetType = UNSET


class SplitterState(Message, frozen=True, kw_only=True):
    """A splitter is alive. Core NATS, once a second, on `tts.v1.splitter.<splitter>`."""

    splitter: WorkerId
    requests: Count  # not yet completely synthesized
    queued_audio_s: Seconds  # estimated audio of these requests that is not synthesized yet
    # the part of it that is needed first, by tenant: at most 5 s of each request
    due_audio_s: dict[Tenant, Seconds] = {}
    # requests received in the last seconds, which the numbers above include
    taken: tuple[RequestId, ...] = ()
    # the same by tenant, as ids are unique only within a tenant
    taken_by: dict[Tenant, tuple[RequestId, ...]] | UnsetType = UNSET
    # `queued_audio_s` and `due_audio_s` of each engine that has requests here
    by_engine: dict[EngineName, EngineBacklog] | UnsetType = UNSET


class NormalizeText(Message, frozen=True, kw_only=True):
    """Normalize this text without synthesis. A core NATS request, on `tts.v1.normalize.<tenant>`."""

    request: RequestId
    tenant: Tenant
    engine: EngineName  # whose sentence length limits apply
    language: LanguageTag
    text: Annotated[str, Meta(min_length=1, max_length=MOST_NORMALIZED)]
    split: bool = True
    spoken_forms: bool = True
    pronunciations: Pronunciations = {}
    text_type: TextType = "text"
    passages: Passages = ()
    voices: Speakers | UnsetType = UNSET  # only their names are used


class TextNormalized(Message, frozen=True, kw_only=True):
    """The normalized text. The reply to `NormalizeText`, which can also be a `SpeechFailed`."""

    request: RequestId
    language: Language  # of the request, as its code
    sentences: Annotated[tuple[NormalizedSentence, ...], Meta(min_length=1)]
    left_out: LeftOut | UnsetType = UNSET


class StoreClip(Message, frozen=True, kw_only=True):
    """Make a reference clip of this recording and store it. A core NATS request, on `tts.v1.clip.<tenant>`."""

    tenant: Tenant
    audio: Annotated[bytes, Meta(min_length=1)]  # a file of any format that the HTTP API accepts


class ClipStored(Message, frozen=True, kw_only=True):
    """A clip that its tenant's requests can name. The reply to `StoreClip`, or else `ClipRefused`."""

    clip: ClipId
    warnings: tuple[str, ...] = ()  # why it is a poor reference


class ClipRefused(Message, frozen=True, kw_only=True):
    """No clip was stored. The other reply to `StoreClip`."""

    code: str  # one of services/common/wire/failures.py
    detail: str  # contains the remedy
    retryable: bool  # whether the same recording may succeed later


class DeadLetter(Message, frozen=True, kw_only=True):
    """A command that failed at every attempt. In the stream `TTS_DEAD`, on `tts.v1.dead.<its own subject>`."""

    subject: str
    payload: bytes
    code: str  # of the last failure
    detail: str
    attempts: Positive
    trace: str = ""  # `traceparent` of the last attempt; empty if traces are off


# what a request's inbox receives
RequestEvent = TextSplit | AudioChunk | SentenceSpoken | SpeechFailed
