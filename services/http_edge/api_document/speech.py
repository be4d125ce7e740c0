"""The operations of speech, existing requests and text normalization."""

from typing import Final

from services.common.wire import failures as wire
from services.http_edge import errors
from services.http_edge.api_document.audio_answers import (
    AUDIO_TYPES,
    POSTED,
    SOMETIMES,
    SPEECH_HEADERS,
    SUBTITLES,
)
from services.http_edge.api_document.failures import ACCEPTING, BODY, SPEAKING, TEXT
from services.http_edge.api_document.operation import Answer, FormBody, JsonBody, Operation
from services.http_edge.http import bodies
from services.http_edge.http.requests.signing_routes import FORM as SIGNING_FORM
from services.http_edge.http.requests.storing_routes import BODY as STORING_BODY
from services.http_edge.intake.forms.form_fields import NORMALIZE_FORM, SPEECH_FORM


def _audio(status: int, description: str, *headers: str) -> Answer:
    return Answer(
        status,
        description,
        media_types=AUDIO_TYPES,
        headers=SPEECH_HEADERS,
        optional_headers=(*SOMETIMES, "Server-Timing", *headers),
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
        POSTED,
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
        POSTED,
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
        (SUBTITLES,),
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
        "/signed-urls",
        "signUrl",
        "speech",
        "Return a URL that a browser can read for a short time without the API key",
        (Answer(200, "the path with its signature", bodies.SignedUrl),),
        (*BODY, errors.SignedUrlsOff),
        body=JsonBody(SIGNING_FORM, required=("path",)),
    ),
)
