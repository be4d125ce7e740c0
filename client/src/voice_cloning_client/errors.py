"""Errors of the client. All are `VoiceCloningError`; their text explains what to do about them.

VoiceCloningError
    InvalidInput        a wrong argument, file or setting; nothing was sent
    ServiceError        the service refused or failed: `code`, `status`, `detail`, ...
        Unauthorized    401 and 403: the API key is missing, unknown or not allowed to do this
        NotFound        404: no such voice, job or request
        Overloaded      429 and 503: `retry_after_s` is when to retry, if known
        JobFailed       a job ended without complete audio
    Unavailable         no response in time: wrong address, service down, network broken
    IncompleteAudio     the audio ended early and could not be resumed
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any


class VoiceCloningError(Exception):
    """Base of all errors of this package."""


class InvalidInput(VoiceCloningError, ValueError):
    """An argument, a file or a setting is invalid; nothing was sent."""


class ServiceError(VoiceCloningError):
    """The service refused a request, or failed at it."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int = 0,
        retryable: bool = False,
        retry_after_s: float | None = None,
        field: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """`code` is one of docs/wire.md; `status` is the HTTP status, 0 over NATS."""
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.status = status
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.field = field
        self.request_id = request_id


class Unauthorized(ServiceError):
    """The API key is missing, unknown, or not allowed to do this."""


class NotFound(ServiceError):
    """No voice, job or request has this name or id."""


class Overloaded(ServiceError):
    """The service, or this tenant's share of it, is at capacity; the request had no effect."""


class JobFailed(ServiceError):
    """A job failed or was cancelled, so its audio will never be complete."""


class Unavailable(VoiceCloningError):
    """The service did not respond in time."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        """`timed_out`: it was connected, but sent no response, so a retry would wait as long again."""
        super().__init__(reason)
        self.timed_out = timed_out


class IncompleteAudio(VoiceCloningError):
    """The audio ended early, and the rest could not be fetched."""

    def __init__(self, reason: str, *, received_bytes: int, request_id: str | None = None) -> None:
        """`received_bytes`: size of the part that arrived, which is not the complete audio."""
        super().__init__(f"the audio is incomplete after {received_bytes} bytes: {reason}")
        self.received_bytes = received_bytes
        self.request_id = request_id


_BY_STATUS: Mapping[int, type[ServiceError]] = {
    HTTPStatus.UNAUTHORIZED: Unauthorized,
    HTTPStatus.FORBIDDEN: Unauthorized,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.TOO_MANY_REQUESTS: Overloaded,
    HTTPStatus.SERVICE_UNAVAILABLE: Overloaded,
}
_OF_GATEWAYS = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)


def service_error(
    status: int, problem: Mapping[str, Any], *, reason: str, retry_after_s: float | None = None
) -> ServiceError:
    """Return the error of an HTTP response.

    `problem`: its problem+json (RFC 9457), empty if a proxy answered something else.
    """
    kind = _BY_STATUS.get(status, ServiceError)
    field = problem.get("field", problem.get("param"))
    request_id = problem.get("request_id")
    return kind(
        str(problem.get("code", f"http_{status}")),
        str(problem.get("detail", reason)),
        status=status,
        retryable=bool(problem.get("retryable", status in _OF_GATEWAYS)),
        retry_after_s=retry_after_s,
        field=None if field is None else str(field),
        request_id=None if request_id is None else str(request_id),
    )
