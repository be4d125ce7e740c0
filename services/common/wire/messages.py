"""The messages of the public contract, version 1.

Commands are named for what is to be done (`SpeechRequest`), facts are in the past tense (`SentenceSpoken`).
On the wire each is a MessagePack map with the field names below and `type`, the class name. A reader ignores unknown
fields; within version 1 only optional fields can be added. docs/wire.md documents the messages, and
tests/contract/test_wire.py compares their bytes.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from services.common.wire.languages import TAG_PATTERN

MOST_LEFT_OUT: Final = 1_000  # reported spans of one text
MOST_NORMALIZED: Final = 20_000  # characters of a text to normalize
MOST_CLIPS: Final = 8  # recordings of a request's speaker
MOST_SENTENCES: Final = 1_000_000  # of one request
MOST_CHUNKS: Final = 1_000_000  # of one sentence
MOST_PASSAGES: Final = 10_000  # of one request
MOST_WORDS: Final = 10_000  # of one sentence
# Before or after a sentence; all breaks of an SSML document add up to 600,000 at most.
LONGEST_PAUSE_MS: Final = 660_000
ENGINE_PATTERN: Final = "[a-z0-9-]{1,32}"

# Every number has an upper bound, as a reader may loop up to a number in a message.
# Identifiers are NATS subject tokens: "." or "*" in them would change the subject.
RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{8,64}\Z")]
Tenant = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
EngineName = Annotated[str, Meta(pattern=rf"^{ENGINE_PATTERN}\Z")]
WorkerId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2}\Z")]  # ISO 639-1
LanguageTag = Annotated[str, Meta(pattern=TAG_PATTERN)]  # parsed by `languages.language_code`
ClipId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]  # SHA-256 of the stored clip
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
ChunkIndex = Annotated[int, Meta(ge=0, le=MOST_CHUNKS)]  # from 0; also a number of chunks
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

    An engine refuses parameters that it does not support (`WorkerState.parameters` lists those it
    does), as it would ignore them. Unknown parameters are refused for the same reason, unlike
    unknown fields of a message.
    """

    # of sampling audio codes; under 1: less varied
    temperature: Annotated[float, Meta(ge=0.01, le=10)] | None = None

    # sample only from this many of the likeliest codes
    top_k: Annotated[int, Meta(ge=1, le=1000)] | None = None

    # sample only from the likeliest codes that together have this probability
    top_p: Annotated[float, Meta(ge=0.01, le=1)] | None = None

    # for codes sampled before; 1: none
    repetition_penalty: Annotated[float, Meta(ge=1, le=20)] | None = None

    # of beam search; over 0: longer
    length_penalty: Annotated[float, Meta(ge=-10, le=10)] | None = None

    # 2 makes the audio about half as long
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None

    # seconds of the clips that the style is computed from
    gpt_cond_len: Annotated[int, Meta(ge=3, le=30)] | None = None

    # of each sentence, in LUFS (ITU-R BS.1770); "off": not adjusted
    loudness_lufs: Loudness | None = None


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


class TextOptions(Struct, frozen=True, kw_only=True):
    """Options for reading a text, which travel whole from the form to the splitter's segmentation.

    On the wire they are fields of `SpeechRequest` and `NormalizeText`, of the same names.
    """

    split: bool = True  # false: keep the text whole if it fits the engine
    spoken_forms: bool = True  # false: do not normalize numbers and symbols
    pronunciations: Pronunciations = {}  # word as written -> as it is pronounced
    text_type: TextType = "text"  # plain text, or an SSML document

    @classmethod
    def of(cls, message: "SpeechRequest | NormalizeText") -> "TextOptions":
        """Return the options in the fields of a message."""
        return cls(**{name: getattr(message, name) for name in cls.__struct_fields__})

    def fields(self) -> dict[str, Any]:
        """Return the fields of a message with these options."""
        return structs.asdict(self)


DEFAULT_TEXT_OPTIONS: Final = TextOptions()


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


class LeftOut(Struct, frozen=True):
    """Letters of the request's text that no voice of their language can speak. On the wire a map."""

    characters: Positive  # of all of them
    spans: Annotated[
        tuple[Span, ...], Meta(min_length=1, max_length=MOST_LEFT_OUT)
    ]  # the first ones, in order


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


class AudioChunk(Message, frozen=True, kw_only=True):
    """A chunk of a sentence's audio, on `tts.v1.audio.<tenant>.<request>.<sentence>.<chunk>`.

    Chunks are ordered by index, not by arrival: a redelivered sentence repeats its chunks with the
    same bytes at the same index.
    """

    request: RequestId
    sentence: SentenceIndex
    chunk: ChunkIndex  # index in the sentence, from 0
    attempt: Attempt  # delivery of the `SentenceJob` that produced it
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
    queue_ms: Count  # from the publication of its `SentenceJob` to its delivery
    synthesis_ms: Count  # time in the engine's steps
    words: WordTimes | UnsetType = UNSET  # in the order of the text
    # how the times were found: in the engine, or in proportion to the length of the words
    word_times: TimesOrigin | UnsetType = UNSET


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


class NormalizedSentence(Struct, frozen=True):
    """Characters [start, end) of a text, and their normalized form. On the wire a map."""

    start: Count
    end: Count
    text: Annotated[str, Meta(min_length=1)]
    language: Language


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
