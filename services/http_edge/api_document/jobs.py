"""The operations of jobs."""

from typing import Final

from services.common.wire import failures as wire
from services.http_edge import errors
from services.http_edge.api_document.audio_answers import AUDIO_TYPES, EVENTS, POSTED, SUBTITLES
from services.http_edge.api_document.failures import ACCEPTING, BODY, SPEAKING, TEXT
from services.http_edge.api_document.operation import Answer, FormBody, Operation
from services.http_edge.http import bodies
from services.http_edge.http.jobs.book_routes import BOOK_FORMATS
from services.http_edge.http.jobs.sentence_routes import REDO_FORM
from services.http_edge.intake.forms.form_fields import JOB_FORM

OPERATIONS: Final = (
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
        POSTED,
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
                media_types=(EVENTS,),
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
                media_types=AUDIO_TYPES,
                headers=("X-Sample-Rate", "Content-Disposition"),
                optional_headers=(
                    "ETag",
                    "Accept-Ranges",
                    "X-Container-Mark",
                    "X-Content-Credentials",
                ),
            ),
            Answer(
                206,
                "a range of the audio",
                media_types=AUDIO_TYPES,
                headers=("X-Sample-Rate", "Content-Range", "ETag", "Accept-Ranges"),
                optional_headers=("X-Container-Mark", "X-Content-Credentials"),
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
        (SUBTITLES,),
        (errors.UnknownJob, errors.JobEnded, errors.AudioIncomplete, 404),
    ),
)
