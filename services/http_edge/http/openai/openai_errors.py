"""Failures as OpenAI's error object, for the paths under `/v1`."""

import json
from http.client import responses
from typing import Final

from aiohttp import web

from services.common.wire.failures import PipelineError
from services.http_edge.problems import field_of

PREFIX: Final = "/v1/"
_TEXT: Final = ("text", "input")  # this service's name of the field, and OpenAI's


def is_openai(path: str) -> bool:
    """Return whether OpenAI's clients call a path, so that its errors are theirs."""
    return f"{path}/".startswith(PREFIX)


def openai_error(failure: PipelineError) -> web.Response:
    """Return the response of a failure: `{"error": {"message", "type", "param", "code"}}`."""
    status = failure.http_status
    field = field_of(failure)
    error = {
        "message": str(failure),
        "type": _type(status),
        "param": _TEXT[1] if field == _TEXT[0] else field,
        "code": failure.code,
    }
    return web.Response(
        status=status,
        reason=responses.get(status, "Client Closed Request"),
        body=json.dumps({"error": error}, ensure_ascii=False).encode(),
        content_type="application/json",
    )


def _type(status: int) -> str:
    """Return OpenAI's name for a kind of failure."""
    names = {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
    }
    if status >= 500:
        return "server_error"
    return names.get(status, "invalid_request_error")
