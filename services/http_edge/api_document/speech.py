"""The operations of speech, existing requests, jobs and text normalization."""

from typing import Final

from services.common.wire import failures as wire
from services.http_edge import errors
from services.http_edge.api_document.failures import ACCEPTING, BODY, SPEAKING, TEXT
from services.http_edge.api_document.operation import (
    Answer,
    FormBody,
    JsonBody,
    Operation,
)
from services.http_edge.encoders.registry import FORMATS
from services.http_edge.http import bodies
from services.http_edge.http.jobs.book_routes import BOOK_FORMATS
from services.http_edge.http.jobs.sentence_routes import REDO_FORM
from services.http_edge.http.requests.signing_routes import FORM as SIGNING_FORM
from services.http_edge.http.requests.storing_routes import BODY as STORING_BODY
from services.http_edge.intake.forms.form_fields import JOB_FORM, NORMALIZE_FORM, SPEECH_FORM
from services.http_edge.intake.openai.openai_body import BODY as OPENAI_BODY
from services.http_edge.subtitles.files import FORMATS as SUBTITLES

_AUDIO_TYPES: Final = tuple(found.media_types[0] for found in FORMATS.values())
_EVENTS: Final = "text/event-stream"
_SPEECH_HEADERS: Final = ("X-Sample-Rate", "X-Seed", "X-Engine", "Content-Disposition")
_SOMETIMES: Final = (
    "X-Language",
    "X-Voice",
    "X-Reference-Warning",
    "X-Speech-Fault",
    "X-Text-Left-Out",
    "X-Watermark",
    "X-Container-Mark",
    "X-Content-Credentials",
)
_SUBTITLES: Final = Answer(
    200, "the subtitles", media_types=tuple(found.media_type for found in SUBTITLES.values())
)
_POSTED: Final = ("Request-Name", "Idempotency-Key", "traceparent", "tracestate")


def _audio(status: int, description: str, *headers: str) -> Answer:
    return Answer(
        status,
        description,
        media_types=_AUDIO_TYPES,
        headers=_SPEECH_HEADERS,
        optional_headers=(*_SOMETIMES, "Server-Timing", *headers),
    )


OPERATIONS: Final = (
    Operation(
        "post",
        "/synthesize",
        "synthesize",
        "speech",
        "Synthesize a text: the complete audio in one body",
        (_audio(200, "the audio"),),
        (*ACCEPTING, *SPEAKING),
        _POSTED,
        FormBody(SPEECH_FORM),
    ),
    Operation(
        "post",
        "/stream",
        "stream",
        "speech",
        "Synthesize a text: the audio while it is synthesized",
        (_audio(200, "the audio; a body that is cut is not complete"),),
        (*ACCEPTING, *SPEAKING),
        _POSTED,
        FormBody(SPEECH_FORM),
    ),
    Operation(
        "get",
        "/requests/{id}/audio",
        "resume",
        "speech",
        "Resume the audio of a request from a byte on",
        (_audio(200, "the rest of the audio; empty at its end"),),
        (
            *SPEAKING,
            errors.UnknownRequest,
            errors.RangeNotSatisfiable,
            wire.EngineUnavailable,
            wire.UnknownVoice,
            wire.QuotaUsedUp,
            wire.TenantQueueFull,
        ),
    ),
    Operation(
        "get",
        "/requests/{id}/sentences",
        "sentences",
        "speech",
        "List the sentences of a request or job: their offsets in the text and durations in the audio",
        (Answer(200, "the sentences", bodies.Sentences),),
        (errors.UnknownRequest,),
    ),
    Operation(
        "get",
        "/requests/{id}/subtitles.{format}",
        "subtitles",
        "speech",
        "Return the subtitles of a request whose audio is complete",
        (_SUBTITLES,),
        (errors.UnknownRequest, errors.AudioIncomplete, 404),
    ),
    Operation(
        "post",
        "/requests/{id}/job",
        "storeRequest",
        "speech",
        "Store a request whose audio is complete as a job that is done",
        (Answer(201, "the job", bodies.Job, headers=("Location",)),),
        (
            *BODY,
            errors.UnknownRequest,
            errors.AudioIncomplete,
            errors.JobBusy,
            errors.ResultsFull,
            wire.QueueFull,
            wire.DeadlineExceeded,
        ),
        body=JsonBody(STORING_BODY),
    ),
    Operation(
        "delete",
        "/requests/{id}",
        "cancelRequest",
        "speech",
        "Cancel a request; an unknown id is not an error",
        (Answer(202, "it is cancelled", bodies.Cancelled),),
    ),
    Operation(
        "post",
        "/normalize",
        "normalize",
        "speech",
        "Normalize a text: what would be spoken, without synthesis",
        (Answer(200, "the normalized sentences", bodies.NormalizedText),),
        (*BODY, *TEXT, errors.SplitterUnavailable, wire.MalformedMessage),
        ("traceparent", "tracestate"),
        FormBody(NORMALIZE_FORM),
    ),
    Operation(
        "post",
        "/jobs",
        "createJob",
        "jobs",
        "Queue a text of any length",
        (
            Answer(
                202,
                "the job is queued",
                bodies.Job,
                headers=("Location",),
                optional_headers=("X-Seed", "X-Reference-Warning"),
            ),
        ),
        (*ACCEPTING, errors.ResultsFull, errors.UnknownJob),
        _POSTED,
        FormBody(JOB_FORM),
    ),
    Operation(
        "get",
        "/jobs",
        "jobs",
        "jobs",
        "List the jobs, newest first",
        (Answer(200, "a page of jobs", bodies.Jobs),),
    ),
    Operation(
        "get",
        "/jobs/{id}/request",
        "jobRequest",
        "jobs",
        "Return the text of a job and its parameters",
        (Answer(200, "the request", bodies.JobRequest),),
        (errors.UnknownJob,),
    ),
    Operation(
        "get",
        "/jobs/{id}",
        "job",
        "jobs",
        "Return state and progress of a job",
        (Answer(200, "the job", bodies.Job),),
        (errors.UnknownJob,),
    ),
    Operation(
        "delete",
        "/jobs/{id}",
        "deleteJob",
        "jobs",
        "Cancel a job and free its audio; delete one that has ended",
        (Answer(202, "the job", bodies.Job),),
        (errors.UnknownJob,),
    ),
    Operation(
        "get",
        "/jobs/{id}/events",
        "jobEvents",
        "jobs",
        "Follow a job: server-sent events for sentences, marks and the end",
        (
            Answer(
                200,
                "`progress`, `mark`, then `done`, `failed` or `cancelled`",
                media_types=(_EVENTS,),
            ),
        ),
        (errors.UnknownJob, errors.TooManyStreams, errors.ListenerStalled),
        ("Last-Event-ID",),
    ),
    Operation(
        "get",
        "/jobs/{id}/audio",
        "jobAudio",
        "jobs",
        "Return the audio of a job; while it runs, as it is synthesized",
        (
            Answer(
                200,
                "the audio",
                media_types=_AUDIO_TYPES,
                headers=("X-Sample-Rate", "Content-Disposition"),
                optional_headers=("ETag", "Accept-Ranges"),
            ),
            Answer(
                206,
                "a range of the audio",
                media_types=_AUDIO_TYPES,
                headers=("X-Sample-Rate", "Content-Range", "ETag", "Accept-Ranges"),
            ),
            Answer(304, "the client has this audio", headers=("ETag",)),
        ),
        (
            errors.UnknownJob,
            errors.UnknownChapter,
            errors.JobNotDone,
            errors.JobEnded,
            errors.RangeNotSatisfiable,
            errors.TooManyStreams,
            errors.ListenerStalled,
            errors.EdgeStops,
        ),
        ("Range", "If-Range", "If-None-Match"),
    ),
    Operation(
        "get",
        "/jobs/{id}/sentences",
        "jobSentences",
        "jobs",
        "List the sentences of a job that is done, with their times",
        (Answer(200, "the sentences", bodies.JobSentences),),
        (errors.UnknownJob, errors.JobNotDone, errors.JobEnded),
    ),
    Operation(
        "post",
        "/jobs/{id}/sentences/{index}",
        "redoSentence",
        "jobs",
        "Speak a sentence of a job that is done again, in place of the old one",
        (Answer(200, "the new revision", bodies.JobRevision),),
        (
            *BODY,
            *SPEAKING,
            *TEXT,
            errors.UnknownJob,
            errors.UnknownSentence,
            errors.JobNotDone,
            errors.JobEnded,
            errors.JobBusy,
            errors.TooManyRevisions,
            errors.ResultsFull,
            errors.InconsistentAudio,
            errors.EngineNotAllowed,
            wire.EngineUnavailable,
            wire.UnknownVoice,
            wire.UnsupportedParameter,
            wire.QuotaUsedUp,
            wire.TenantQueueFull,
            wire.QueueFull,
        ),
        ("traceparent", "tracestate"),
        FormBody(REDO_FORM),
    ),
    Operation(
        "get",
        "/jobs/{id}/book.{format}",
        "jobBook",
        "jobs",
        "Return a job that is done as an audio book with its title and chapters",
        (
            Answer(
                200,
                "the file",
                media_types=tuple(BOOK_FORMATS.values()),
                headers=("ETag", "Accept-Ranges", "Content-Disposition"),
                optional_headers=("X-Sample-Rate", "X-Container-Mark", "X-Content-Credentials"),
            ),
            Answer(304, "the client has this file", headers=("ETag",)),
        ),
        (
            errors.UnknownJob,
            errors.JobNotDone,
            errors.JobEnded,
            errors.ListenerStalled,
            404,
        ),
        ("If-None-Match",),
    ),
    Operation(
        "get",
        "/jobs/{id}/subtitles.{format}",
        "jobSubtitles",
        "jobs",
        "Return the subtitles of a job that is done",
        (_SUBTITLES,),
        (errors.UnknownJob, errors.JobEnded, errors.AudioIncomplete, 404),
    ),
    Operation(
        "post",
        "/signed-urls",
        "signUrl",
        "speech",
        "Return a URL that a browser can read for a short time without the API key",
        (Answer(200, "the path with its signature", bodies.SignedUrl),),
        (*BODY, errors.SignedUrlsOff),
        body=JsonBody(SIGNING_FORM, required=("path",)),
    ),
    Operation(
        "post",
        "/v1/audio/speech",
        "openaiSpeech",
        "openai",
        "Synthesize a text, as OpenAI's endpoint does",
        (
            Answer(
                200,
                "the audio, events with it, or an object with its times",
                bodies.SpokenText,
                media_types=(*_AUDIO_TYPES, _EVENTS),
                headers=_SPEECH_HEADERS[:-1],
                optional_headers=(*_SOMETIMES, "Server-Timing", "Content-Disposition"),
            ),
        ),
        (*ACCEPTING, *SPEAKING, errors.UnknownModel),
        _POSTED,
        JsonBody(tuple(OPENAI_BODY.values()), required=("input",), others_ignored=True),
    ),
    Operation(
        "get",
        "/v1/models",
        "openaiModels",
        "openai",
        "List the engine and the names of OpenAI's models that stand for it",
        (Answer(200, "the models", bodies.Models),),
    ),
    Operation(
        "get",
        "/v1/audio/models",
        "openaiAudioModels",
        "openai",
        "List the models: the same as /v1/models",
        (Answer(200, "the models", bodies.Models),),
    ),
    Operation(
        "get",
        "/v1/models/{model}",
        "openaiModel",
        "openai",
        "Return a model",
        (Answer(200, "the model", bodies.Model),),
        (404,),
    ),
    Operation(
        "get",
        "/v1/audio/voices",
        "openaiVoices",
        "openai",
        "List the names that `voice` accepts",
        (Answer(200, "the voices", bodies.NamedVoices),),
    ),
)
