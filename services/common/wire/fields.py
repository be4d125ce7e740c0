"""The types of message fields: their patterns and bounds.

Every number has an upper bound, as a reader may loop up to a number in a message.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta

from services.common.wire.languages import TAG_PATTERN

MOST_LEFT_OUT: Final = 1_000  # reported spans of one text
MOST_NORMALIZED: Final = 20_000  # characters of a text to normalize
MOST_CLIPS: Final = 8  # recordings of a request's speaker
MOST_SENTENCES: Final = 1_000_000  # of one request
MOST_CHUNKS: Final = 1_000_000  # of one sentence
MOST_PASSAGES: Final = 10_000  # of one request
MOST_WORDS: Final = 10_000  # of one sentence
MOST_CHAPTERS: Final = 500  # of one text
MOST_SPEAKERS: Final = 32  # voices that one text names
LONGEST_TITLE: Final = 200  # characters
# Before or after a sentence; all breaks of an SSML document add up to 600,000 at most.
LONGEST_PAUSE_MS: Final = 660_000
ENGINE_PATTERN: Final = "[a-z0-9-]{1,32}"
LABEL_PATTERN: Final = "[A-Za-z0-9_-]{1,64}"

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
NO_WATERMARK: Final = "off"
WATERMARK: Final = "voice-cloning-1"  # of the worker's finishing: common/audio/watermark
Watermark = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}\Z")]
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
# of a job that was stored from a finished request, and not queued
JobOrigin = Literal["request"]
# that a client groups its jobs by
JobLabel = Annotated[str, Meta(pattern=rf"^{LABEL_PATTERN}\Z")]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
Pronunciations = Annotated[dict[Word, Word], Meta(max_length=500)]
TextType = Literal["text", "ssml", "dialogue"]
# of a job or a chapter: one line
Title = Annotated[str, Meta(pattern=rf"^[^\x00-\x1f\x7f\x85\u2028\u2029]{{1,{LONGEST_TITLE}}}\Z")]
Loudness = Annotated[float, Meta(ge=-30, le=-12)] | Literal["off"]  # LUFS
Lane = Literal["express", "standard"]  # a request's first sentence, and all others
PortionSeconds = Annotated[float, Meta(gt=0, le=86_400)]  # of audio, estimated
