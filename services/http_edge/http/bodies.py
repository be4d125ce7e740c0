"""The JSON bodies of responses, as types: mypy checks the handlers by them, and the OpenAPI document describes them."""

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta

from services.common.wire.fields import (
    Count,
    Digest,
    JobLabel,
    JobOrigin,
    JobState,
    RequestId,
    Seed,
    TextType,
)
from services.http_edge.capacity.fleet import ParameterRange
from services.http_edge.speech.marks import SpokenMark

Text = Annotated[str, Meta(min_length=1)]
Amount = Annotated[float, Meta(ge=0)]
Fault = Annotated[
    str, Meta(description="why its audio is faulty or ends early, although the engine tried again")
]
Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class About(TypedDict):
    """The service."""

    name: Text
    version: Text
    supported_languages: list[str]
    model_loaded: bool
    device: Annotated[str | None, Meta(description="where the model computes")]
    engine: Text
    parameters: dict[str, ParameterRange]
    watermark: Annotated[
        str | None, Meta(description="of the audio; off if it has none, null without a worker")
    ]
    content_credentials: Annotated[
        Text, Meta(description="how finished files are signed: c2pa, c2pa-development, or off")
    ]


class Health(TypedDict):
    """The state of the service, for people and dashboards."""

    status: Literal["healthy", "unhealthy"]
    model_loaded: bool
    device: str | None
    detail: Annotated[str, Meta(description="why it is unhealthy")]


class Alive(TypedDict):
    """The process runs."""

    status: Literal["alive"]


class Readiness(TypedDict):
    """The readiness of the service."""

    status: Literal["ready", "not ready"]
    detail: NotRequired[str]


class Languages(TypedDict):
    """The languages, in order."""

    supported_languages: list[str]
    count: Count
    languages_details: Annotated[dict[str, str], Meta(description="native name of each language")]


class Cancelled(TypedDict):
    """A request that was cancelled."""

    id: RequestId
    state: Literal["cancelled"]


class TextChapter(TypedDict):
    """A chapter of a text, to the next one or the end."""

    title: Text
    start: Annotated[Count, Meta(description="its first character, in Unicode code points")]


class JobChapter(TextChapter):
    """A chapter of a job, and when it is spoken."""

    begins: NotRequired[Annotated[float, Meta(ge=0, description="seconds; once it is spoken")]]
    seconds: NotRequired[Amount]


class Job(TypedDict):
    """State and progress of a job."""

    id: RequestId
    state: JobState
    title: NotRequired[str]
    language: NotRequired[str]
    voice: NotRequired[Annotated[str, Meta(description="the revision of the voice that is used")]]
    characters: NotRequired[Annotated[Count, Meta(description="length of the text")]]
    sentences: NotRequired[Count]
    spoken: Annotated[Count, Meta(description="sentences whose audio is stored")]
    audio_seconds: Amount
    revision: NotRequired[
        Annotated[Count, Meta(description="how often a sentence of the audio was replaced")]
    ]
    origin: NotRequired[
        Annotated[JobOrigin, Meta(description="it was stored from a finished request")]
    ]
    label: NotRequired[JobLabel]
    created: NotRequired[Timestamp]
    deadline: NotRequired[Timestamp]
    estimated_end: NotRequired[Timestamp]
    finished: NotRequired[Timestamp]
    expires: NotRequired[
        Annotated[
            str,
            Meta(
                description="when the audio of a finished job begins to expire",
                extra_json_schema={"format": "date-time"},
            ),
        ]
    ]
    chapters: NotRequired[Annotated[list[JobChapter], Meta(description="of `GET /jobs/{id}` only")]]
    code: NotRequired[Annotated[str, Meta(description="why it failed")]]
    detail: NotRequired[str]


class Jobs(TypedDict):
    """Some jobs of the tenant, newest first."""

    jobs: list[Job]
    next: NotRequired[Annotated[str, Meta(description="`after` of the next page")]]


class JobRequest(TypedDict):
    """The text of a job, and how it was to be spoken."""

    text: Text
    text_type: TextType
    language: str
    seed: Seed
    enable_text_splitting: bool
    spoken_forms: bool
    pronunciations: dict[str, str]
    parameters: Annotated[
        dict[str, float | str], Meta(description="synthesis parameters that were set")
    ]
    engine: str
    voice: NotRequired[str]
    voices: NotRequired[Annotated[dict[str, str], Meta(description="of the names in the text")]]
    recordings: NotRequired[Annotated[Count, Meta(description="number of recordings of the voice")]]
    title: NotRequired[str]
    chapters: NotRequired[list[TextChapter]]


SpeakersVoice = Annotated[str, Meta(description="its voice, if the text names one for it")]


class TextRange(TypedDict):
    """Characters [start, end) of the text, in Unicode code points."""

    start: Count
    end: Count


class SentenceTimes(TextRange):
    """A sentence in the text and in the audio."""

    seconds: NotRequired[
        Annotated[float, Meta(ge=0, description="with the pause after it; once synthesized")]
    ]
    language: NotRequired[str]
    voice: NotRequired[SpeakersVoice]
    fault: NotRequired[Fault]


Sentences = TypedDict(
    "Sentences",
    {
        "count": Count,
        "from": Count,
        "sentences": list[SentenceTimes],
        "marks": NotRequired[list[SpokenMark]],
        "left_out": NotRequired[list[TextRange]],
    },
)


class JobSentence(TextRange):
    """A sentence of a job that is done. `start` and `end` count in the text of the job."""

    index: Count
    text: Annotated[str, Meta(description="its words, which a new revision can have changed")]
    begins: Annotated[float, Meta(ge=0, description="seconds of the audio before it")]
    seconds: Annotated[float, Meta(ge=0, description="with the pause after it")]
    language: NotRequired[str]
    voice: NotRequired[SpeakersVoice]
    fault: NotRequired[Fault]
    revision: NotRequired[
        Annotated[Count, Meta(description="that replaced it; absent: as first spoken")]
    ]
    seed: NotRequired[Seed]
    digest: NotRequired[Digest]


JobSentences = TypedDict(
    "JobSentences",
    {
        "count": Count,
        "from": Count,
        "revision": Annotated[Count, Meta(description="of the audio that the times are of")],
        "sentences": list[JobSentence],
    },
)


class JobRevision(TypedDict):
    """A sentence that was spoken again, and the job with its new revision."""

    job: Job
    index: Count
    text: str
    seconds: Amount
    seed: Seed
    digest: Annotated[Digest, Meta(description="SHA-256 of the sentence's PCM")]


class SpokenForm(TextRange):
    """A sentence as it is spoken."""

    text: str
    language: str


class NormalizedText(TypedDict):
    """A text as it is spoken."""

    language: str
    languages: list[str]
    sentences: list[SpokenForm]
    left_out: list[TextRange]


class Model(TypedDict):
    """The engine, under one of its names."""

    id: Text
    object: Literal["model"]
    created: Count
    owned_by: Text


class Models(TypedDict):
    """The names that `model` accepts."""

    object: Literal["list"]
    data: list[Model]
    models: Annotated[list[Model], Meta(description="the same, for clients that read it here")]


class NamedVoice(TypedDict):
    """A voice that `voice` accepts."""

    id: Text
    name: Text


class NamedVoices(TypedDict):
    """The voices that `voice` accepts."""

    voices: list[NamedVoice]


class WordInterval(TypedDict):
    """A word of the text, and when it is spoken."""

    word: str
    start: Annotated[Amount, Meta(description="seconds")]
    end: Amount


class SpokenSentence(TypedDict):
    """A sentence of the text, and when it is spoken."""

    text: str
    start: Annotated[Amount, Meta(description="seconds")]
    end: Amount


class SpokenText(TypedDict):
    """The audio with its times (`stream_format` json)."""

    audio: Annotated[str, Meta(extra_json_schema={"contentEncoding": "base64"})]
    response_format: Text
    sample_rate: Count
    duration: Amount
    sentences: list[SpokenSentence]
    times: NotRequired[Literal["measured", "estimated"]]
    words: NotRequired[list[WordInterval]]


class SignedUrl(TypedDict):
    """A path with its signature."""

    url: Text
    expires_at: NotRequired[Timestamp]


class OpenAiErrorDetail(TypedDict):
    """OpenAI's description of a failure."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAiError(TypedDict):
    """A failure of a path under /v1."""

    error: OpenAiErrorDetail
