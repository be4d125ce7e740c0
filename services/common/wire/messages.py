"""The messages of the public contract, version 1.

Commands are named for what is to be done (`SpeechRequest`), facts are in the past tense (`SentenceSpoken`).
On the wire each is a MessagePack map with the field names below and `type`, the class name. A reader ignores fields
that it does not know; a writer may add optional fields within version 1 and nothing else. docs/wire.md holds the same
in words, and tests/contract/test_wire.py holds the bytes.
"""

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from services.common.wire.languages import TAG_PATTERN

MOST_LEFT_OUT: Final = 1_000  # reported spans of one text
MOST_NORMALIZED: Final = 20_000  # characters of a text that is shown as it would be spoken
MOST_CLIPS: Final = 8  # recordings of the one speaker of a request
MOST_SENTENCES: Final = 1_000_000  # of one request
MOST_CHUNKS: Final = 1_000_000  # of one sentence
MOST_PASSAGES: Final = 10_000  # of one request
LONGEST_PAUSE_MS: Final = (
    660_000  # before or after a sentence; SSML's breaks are 600,000 at most, all together
)
ENGINE_PATTERN: Final = "[a-z0-9-]{1,32}"

# Every number has an upper bound: a reader may loop up to a number in a message.
# Identifiers are NATS subject tokens, so that "." or "*" cannot widen a subject.
RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{8,64}\Z")]
Tenant = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
EngineName = Annotated[str, Meta(pattern=rf"^{ENGINE_PATTERN}\Z")]
WorkerId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2}\Z")]  # ISO 639-1
LanguageTag = Annotated[
    str, Meta(pattern=TAG_PATTERN)
]  # as people write it: `languages.language_code` reads it
ClipId = Annotated[
    str, Meta(pattern=r"^[0-9a-f]{64}\Z")
]  # SHA-256 of the clip's bytes in the object store
Clips = Annotated[tuple[ClipId, ...], Meta(min_length=1, max_length=MOST_CLIPS)]
MaybeClips = Annotated[tuple[ClipId, ...], Meta(max_length=MOST_CLIPS)]
# a name or an id of a stored voice, or of one that an engine brings along: `wire/voices.py`
VoiceReference = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,100}\Z")]
VoiceName = Annotated[
    str, Meta(pattern=r"^[^\x00-\x20\x7f/:@]([^\x00-\x1f\x7f/:@]{0,62}[^\x00-\x20\x7f/:@])?\Z")
]
Gender = Literal["female", "male", "neutral"]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]
SentenceIndex = Annotated[int, Meta(ge=0, le=MOST_SENTENCES)]  # from 0
SentenceCount = Annotated[int, Meta(ge=1, le=MOST_SENTENCES)]
ChunkIndex = Annotated[int, Meta(ge=0, le=MOST_CHUNKS)]  # from 0; also how many chunks there are
Attempt = Annotated[int, Meta(ge=1, le=1_000_000)]
SampleRate = Annotated[int, Meta(ge=1, le=768_000)]  # Hz
Pause = Annotated[int, Meta(ge=0, le=LONGEST_PAUSE_MS)]  # milliseconds
Slots = Annotated[int, Meta(ge=0, le=100_000)]  # of one worker
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
UnixMilliseconds = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]  # to the end of the year 9999
JobState = Literal["queued", "running", "done", "failed", "cancelled"]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
Pronunciations = Annotated[dict[Word, Word], Meta(max_length=500)]
TextType = Literal["text", "ssml"]
Loudness = Annotated[float, Meta(ge=-30, le=-12)] | Literal["off"]  # LUFS
Lane = Literal["express", "standard"]  # a request's first sentence, and all others
PortionSeconds = Annotated[float, Meta(gt=0, le=86_400)]  # of audio, estimated


class Message(Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """The base of all messages: immutable, named by `type` on the wire."""


class Parameters(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Synthesis parameters. On the wire a map; a missing one has the engine's default.

    `WorkerState.parameters` lists what an engine takes; it refuses the others, since it would ignore them. For the same
    reason, and unlike an unknown field of a message, an unknown parameter is refused.
    """

    # of the draw of audio codes; under 1: less varied
    temperature: Annotated[float, Meta(ge=0.01, le=10)] | None = None
    # draw from so many of the likeliest codes only
    top_k: Annotated[int, Meta(ge=1, le=1000)] | None = None
    # from codes that together have this probability only
    top_p: Annotated[float, Meta(ge=0.01, le=1)] | None = None
    # for codes that were drawn before; 1: none
    repetition_penalty: Annotated[float, Meta(ge=1, le=20)] | None = None
    # of a beam search; over 0: longer
    length_penalty: Annotated[float, Meta(ge=-10, le=10)] | None = None
    # 2 makes the audio about half as long
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    # seconds of the clips that the style is taken from
    gpt_cond_len: Annotated[int, Meta(ge=3, le=30)] | None = None
    loudness_lufs: Loudness | None = (
        None  # of each sentence, as ITU-R BS.1770 measures it; "off": as the engine makes it
    )


AS_USUAL: Final = Parameters()


class Passage(Struct, frozen=True):
    """Characters [start, end) of the request's text, in code points, are in another language. On the wire a map."""

    start: Count
    end: Count
    language: LanguageTag


Passages = Annotated[tuple[Passage, ...], Meta(max_length=MOST_PASSAGES)]


class Mark(Struct, frozen=True):
    """A named position in the audio. On the wire a map."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    sentence: SentenceIndex  # counted from the start of its audio; the number of sentences: from the end of the audio
    offset_ms: Annotated[int, Meta(ge=-(2**31), le=2**31)] = 0  # negative: in the silence before it
    # it stands inside the sentence, whose beginning is the nearest border before it
    within: bool = False


class SpeechRequest(Message, frozen=True, kw_only=True):
    """Speak this text. From a client or the edge, on `tts.v1.request.<tenant>`."""

    request: RequestId
    tenant: Tenant
    engine: EngineName
    language: LanguageTag
    text: Annotated[str, Meta(min_length=1)]
    clips: MaybeClips = ()  # of one speaker, one or more recordings; empty where `voice` is sent
    seed: Seed
    split: bool = True  # false: keep the text whole where the engine can take it so
    spoken_forms: bool = True  # false: give the engine figures and signs as they are written
    pronunciations: Pronunciations = {}  # word as written -> as it is pronounced
    deadline_unix_ms: UnixMilliseconds  # work not begun by then is dropped
    parameters: Parameters = AS_USUAL
    # those before it are not spoken; places and seeds stay as they are
    first_sentence: SentenceIndex = 0
    text_type: TextType = "text"  # plain text, or an SSML document
    passages: Passages = ()  # in other languages, in order; of plain text only
    # refuse a text whose audio is estimated longer; not sent where unlimited
    max_audio_s: Seconds | UnsetType = UNSET
    # from `first_sentence` on, about so much; not sent: the whole rest
    portion_s: PortionSeconds | UnsetType = UNSET
    first_lane: Lane | UnsetType = UNSET  # of the first sentence; not sent: express
    # of the library, instead of `clips`; neither: the default voice of the language
    voice: VoiceReference | UnsetType = UNSET


class SentenceJob(Message, frozen=True, kw_only=True):
    """Speak this sentence. From the splitter, on `tts.v1.sentence.<engine>.<lane>.<tenant>.<request>.<sentence>`."""

    request: RequestId
    tenant: Tenant
    engine: EngineName
    language: Language
    sentence: SentenceIndex  # place in the text, from 0
    sentences: SentenceCount  # how many the text has
    text: Annotated[str, Meta(min_length=1)]  # normalized
    clips: MaybeClips = ()
    seed: Seed  # derived from the request's seed and the sentence's index
    pause_after_ms: Pause  # silence that belongs to the end of this sentence's samples
    deadline_unix_ms: UnixMilliseconds
    parameters: Parameters = AS_USUAL
    pause_before_ms: Pause = 0  # silence that belongs to the beginning of this sentence's samples
    # resolved: `voices.ResolvedVoice.reference`; instead of `clips`
    voice: VoiceReference | UnsetType = UNSET


class Span(Struct, frozen=True):
    """Characters [start, end) of the request's text, counted in Unicode code points. On the wire a map."""

    start: Count
    end: Count


class Portion(Struct, frozen=True):
    """Sentences [first, until) of a request that are spoken now; the next ones have to be requested. A map."""

    first: SentenceIndex
    until: SentenceIndex


class LeftOut(Struct, frozen=True):
    """Letters of the request's text that no voice of their language can speak. On the wire a map."""

    characters: Positive  # of all of them
    spans: Annotated[
        tuple[Span, ...], Meta(min_length=1, max_length=MOST_LEFT_OUT)
    ]  # the first ones, in order


class TextSplit(Message, frozen=True, kw_only=True):
    """The text has these sentences. On `tts.v1.audio.<tenant>.<request>.split`, before the first audio."""

    request: RequestId
    sentences: Annotated[tuple[Span, ...], Meta(min_length=1, max_length=MOST_SENTENCES)]
    dropped: tuple[Span, ...]  # not spoken: white space, lone punctuation, markup
    languages: tuple[
        Language, ...
    ] = ()  # of each sentence, where they differ; none: all are in the request's
    marks: tuple[Mark, ...] = ()  # as they come in the text
    # letters that no voice of their language can speak; not sent where none are
    left_out: LeftOut | UnsetType = UNSET
    # estimated, from `first_sentence` on; sent where the request has a limit
    audio_s: Seconds | UnsetType = UNSET
    # of what is spoken now; not sent: all from `first_sentence` on
    portion: Portion | UnsetType = UNSET
    # that speaks it, resolved; not sent where the request has clips
    voice: VoiceReference | UnsetType = UNSET


class AudioChunk(Message, frozen=True, kw_only=True):
    """A chunk of a sentence's audio, on `tts.v1.audio.<tenant>.<request>.<sentence>.<chunk>`.

    Order is by index, not arrival: a redelivered sentence repeats its chunks, with the same bytes at the same index.
    """

    request: RequestId
    sentence: SentenceIndex
    chunk: ChunkIndex  # index in the sentence, from 0
    attempt: Attempt  # which delivery of the sentence's job made it
    first_sample: Count  # offset of the first sample in the sentence
    sample_rate_hz: SampleRate
    pcm: bytes  # mono, 16-bit little-endian


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
    queue_ms: Count  # from the job's publication to its delivery
    synthesis_ms: Count  # time in the engine's steps


class SpeechFailed(Message, frozen=True, kw_only=True):
    """The request cannot be completed. On `...<request>.<sentence>.end` for a sentence, else `...<request>.failed`."""

    request: RequestId
    sentence: SentenceIndex | None
    code: str  # one of services/common/wire/failures.py
    detail: str  # contains the remedy; never the text
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
    sentences: SentenceIndex = 0  # that the text has; 0 until that is known
    spoken: SentenceIndex = 0  # sentences whose audio is stored, the first ones of the text
    samples: Count = 0  # of these sentences
    sample_rate_hz: Count = 0  # 0 before the first audio
    # from measured speed; none rather than a guess
    estimated_end_unix_ms: UnixMilliseconds | None = None
    code: str = ""  # of the failure, where it failed
    detail: str = ""  # what to do about it; never holds the text


class BuiltInVoice(Struct, frozen=True, kw_only=True):
    """A voice that an engine brings along. On the wire a map."""

    name: VoiceName
    gender: Gender
    # that its speaker is a native of, ISO 639-1; empty: all of the engine's
    languages: tuple[Language, ...] = ()


BuiltInVoices = Annotated[tuple[BuiltInVoice, ...], Meta(max_length=1_000)]


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
    slots: Annotated[int, Meta(ge=1, le=100_000)]  # sentences that it speaks at once
    busy: Slots
    # seconds of work for a second of audio, recently; none before the first sentence
    real_time_factor: Seconds | None
    parameters: dict[
        str, Annotated[float, Meta(ge=-1e12, le=1e12)]
    ] = {}  # that the engine takes, with their defaults; named as in `Parameters`
    # that the engine brings along; not sent where there are none
    voices: BuiltInVoices | UnsetType = UNSET
    # language -> the built-in voice that speaks where a request names none
    default_voices: dict[Language, VoiceName] | UnsetType = UNSET


class SplitterState(Message, frozen=True, kw_only=True):
    """A splitter is alive. Core NATS, once a second, on `tts.v1.splitter.<splitter>`."""

    splitter: WorkerId
    requests: Count  # held: not all of their sentences are spoken
    queued_audio_s: Seconds  # estimated audio that these still need
    due_audio_s: dict[
        Tenant, Seconds
    ] = {}  # of it what is due at once, by tenant: of each request at most 5 s
    taken: tuple[
        RequestId, ...
    ] = ()  # requests that were received in the last seconds, and are counted here since
    taken_by: dict[Tenant, tuple[RequestId, ...]] | UnsetType = (
        UNSET  # the same, by tenant: ids are a tenant's own
    )


class NormalizeText(Message, frozen=True, kw_only=True):
    """Return this text as it would be spoken. A core NATS request, on `tts.v1.normalize.<tenant>`."""

    request: RequestId
    tenant: Tenant
    engine: EngineName  # whose longest sentences divide the text
    language: LanguageTag
    text: Annotated[str, Meta(min_length=1, max_length=MOST_NORMALIZED)]
    split: bool = True
    spoken_forms: bool = True
    pronunciations: Pronunciations = {}
    text_type: TextType = "text"
    passages: Passages = ()


class NormalizedSentence(Struct, frozen=True):
    """Characters [start, end) of a text, and what is spoken of them. On the wire a map."""

    start: Count
    end: Count
    text: Annotated[str, Meta(min_length=1)]
    language: Language


class TextNormalized(Message, frozen=True, kw_only=True):
    """The text as it would be spoken. The reply to `NormalizeText`, which may be a `SpeechFailed` instead."""

    request: RequestId
    language: Language  # of the request, as its code
    sentences: Annotated[tuple[NormalizedSentence, ...], Meta(min_length=1)]
    left_out: LeftOut | UnsetType = UNSET


class StoreClip(Message, frozen=True, kw_only=True):
    """Make a reference clip of this recording and store it. A core NATS request, on `tts.v1.clip.<tenant>`."""

    tenant: Tenant
    audio: Annotated[bytes, Meta(min_length=1)]  # a file of any format that the HTTP API takes


class ClipStored(Message, frozen=True, kw_only=True):
    """A clip that requests of its tenant may name. The reply to `StoreClip`, which may be `ClipRefused` instead."""

    clip: ClipId
    warnings: tuple[str, ...] = ()  # what makes it a doubtful reference


class ClipRefused(Message, frozen=True, kw_only=True):
    """No clip was stored. The other reply to `StoreClip`."""

    code: str  # one of services/common/wire/failures.py
    detail: str  # contains the remedy
    retryable: bool  # whether the same recording may be taken later


class DeadLetter(Message, frozen=True, kw_only=True):
    """A command that failed at every attempt. In the stream `TTS_DEAD`, on `tts.v1.dead.<its own subject>`."""

    subject: str
    payload: bytes
    code: str  # of the last failure
    detail: str
    attempts: Positive
    trace: str = ""  # the `traceparent` of its last attempt; empty where traces are off


# what a request's inbox receives
RequestEvent = TextSplit | AudioChunk | SentenceSpoken | SpeechFailed
