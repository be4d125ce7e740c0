"""Failures as problem+json (RFC 9457)."""

import json
from http.client import responses
from typing import Annotated, Final, NotRequired, TypedDict

from aiohttp import web
from msgspec import Meta

from services.common.wire.failures import PipelineError

# of failures that always concern the same field, wherever they are found
_FIELDS: Final = {
    "consent_required": "consent",
    "empty_text": "text",
    "idempotency_key_reused": "Idempotency-Key",
    "malformed_ssml": "text",
    "reference_too_large": "reference_audio",
    "request_id_taken": "Request-Name",
    "text_too_long": "text",
    "unknown_voice": "voice",
    "unspeakable_text": "text",
    "unsupported_language": "language",
    "unusable_reference": "reference_audio",
    "voice_name_taken": "name",
}


class Problem(TypedDict):
    """A failure, as RFC 9457 describes it."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Meta(description="what is wrong, and what to send")]
    code: Annotated[str, Meta(description="for programs; it does not change")]
    retryable: Annotated[bool, Meta(description="whether the same request may succeed later")]
    request_id: Annotated[str, Meta(description="for the operator, who finds it in the log")]
    field: NotRequired[
        Annotated[
            str,
            Meta(
                description="the field, query parameter or header to change; absent if it is not a single one"
            ),
        ]
    ]


def field_of(failure: PipelineError) -> str | None:
    """Return the field that a failure concerns; of other services' failures, by their code."""
    return failure.field or _FIELDS.get(failure.code)


def problem(failure: PipelineError, request_id: str) -> web.Response:
    """Return the problem+json response of a failure."""
    status = failure.http_status

    body: Problem = {
        "type": f"urn:tts:problem:{failure.code}",
        "title": failure.code.replace("_", " "),
        "status": status,
        "detail": str(failure),
        "code": failure.code,
        "retryable": failure.retryable,
        "request_id": request_id,
    }
    field = field_of(failure)
    if field is not None:
        body["field"] = field

    return web.Response(
        status=status,
        reason=responses.get(status, "Client Closed Request"),
        body=json.dumps(body, ensure_ascii=False).encode(),
        content_type="application/problem+json",
    )
