"""The edge's failures, and their translation to problem+json (RFC 9457)."""

import json
from http.client import responses

from aiohttp import web

from services.common.wire.failures import PipelineError
from services.common.wire.messages import SpeechFailed


class BadRequest(PipelineError):
    """The request's form is wrong: the message names the field and what to send."""

    code = "bad_request"
    http_status = 400


class UploadStalled(PipelineError):
    """The client stopped sending in the middle of its body."""

    code = "upload_stalled"
    http_status = 408


class UnsupportedEncoding(PipelineError):
    """The body, or a part of it, is compressed or encoded."""

    code = "unsupported_encoding"
    http_status = 415


class TooManyUploads(PipelineError):
    """The places for bodies that are being read are taken: the caller's own, or all."""

    code = "too_many_uploads"
    retryable = True
    retry_after_s = 5.0

    def __init__(self, detail: str, status: int) -> None:
        """`status`: 429 where the caller's own places are taken, 503 where all are."""
        super().__init__(detail)
        self.http_status = status


class InsufficientStorage(PipelineError):
    """The disk, or this service's share of it, has no space for an upload or a response."""

    code = "insufficient_storage"
    retryable = True
    http_status = 503
    retry_after_s = 10.0


class ListenerStalled(PipelineError):
    """The client stays connected, but reads no audio."""

    code = "listener_stalled"
    http_status = 408


class AudioGone(PipelineError):
    """The audio store dropped the audio before it was sent, each time that it was made."""

    code = "audio_gone"
    retryable = True
    http_status = 503


class TooManyRequests(PipelineError):
    """This edge speaks to as many clients as it may."""

    code = "too_many_requests"
    retryable = True
    http_status = 503


class TooManyStreams(PipelineError):
    """This tenant's clients follow as many jobs at this edge as they may."""

    code = "too_many_streams"
    retryable = True
    http_status = 429


class SplitterUnavailable(PipelineError):
    """No splitter answered in time."""

    code = "splitter_unavailable"
    retryable = True
    http_status = 503


class MisdirectedRequest(PipelineError):
    """The request gives a host name that is not this service's: it may come of DNS rebinding."""

    code = "misdirected_request"
    http_status = 421


class KeyMissing(PipelineError):
    """The request has no API key, and needs one."""

    code = "key_missing"
    http_status = 401


class UnknownKey(PipelineError):
    """The API key is none of those that are known."""

    code = "unknown_key"
    http_status = 401


class EngineNotAllowed(PipelineError):
    """The API key is not for this engine."""

    code = "engine_not_allowed"
    http_status = 403


class RateExceeded(PipelineError):
    """The API key was used too often within a minute."""

    code = "rate_exceeded"
    retryable = True
    http_status = 429


class CannotReadKeys(PipelineError):
    """The file of API keys is missing or invalid; at start only."""

    code = "cannot_read_keys"


class RequestIdTaken(PipelineError):
    """Another request has, or had a short while ago, the id that the client chose."""

    code = "request_id_taken"
    http_status = 409


class IdempotencyKeyReused(PipelineError):
    """The key stands for another form."""

    code = "idempotency_key_reused"
    http_status = 422


class UnknownRequest(PipelineError):
    """No request has this id: it never existed, or has expired."""

    code = "unknown_request"
    http_status = 404


class UnknownJob(PipelineError):
    """No job has this id: it never existed, or has expired."""

    code = "unknown_job"
    http_status = 404


class JobEnded(PipelineError):
    """The job failed or was cancelled, so its audio will never be complete."""

    code = "job_ended"
    http_status = 409


class ResultsFull(PipelineError):
    """The job results use the whole quota; deleting jobs frees some."""

    code = "results_full"
    http_status = 507


class RangeNotSatisfiable(PipelineError):
    """The audio has no such byte."""

    code = "range_not_satisfiable"
    http_status = 416

    def __init__(self, detail: str, size: int) -> None:
        """`size`: bytes of the whole."""
        super().__init__(detail)
        self.size = size


class EdgeStops(PipelineError):
    """This edge is shutting down; another one, or this one soon, continues."""

    code = "edge_stops"
    retryable = True
    http_status = 503


class CannotListen(PipelineError):
    """The port is in use, or the host is not this machine's; at start only."""

    code = "cannot_listen"


class RemoteFailure(PipelineError):
    """A failure that another service reported; `code` and status are the ones of its type."""

    def __init__(self, failed: SpeechFailed) -> None:
        """Take code and status over from the failure that was reported."""
        super().__init__(failed.detail)
        self.code = failed.code
        self.http_status = _status_by_code().get(failed.code, 502)
        self.retryable = failed.retryable


def problem(failure: PipelineError, request_id: str) -> web.Response:
    """Return the problem+json response of a failure."""
    status = failure.http_status
    body = {
        "type": f"urn:tts:problem:{failure.code}",
        "title": failure.code.replace("_", " "),
        "status": status,
        "detail": str(failure),
        "code": failure.code,
        "retryable": failure.retryable,
        "request_id": request_id,
    }
    return web.Response(
        status=status,
        reason=responses.get(status, "Client Closed Request"),
        body=json.dumps(body, ensure_ascii=False).encode(),
        content_type="application/problem+json",
    )


def _status_by_code() -> dict[str, int]:
    kinds = [PipelineError]
    statuses: dict[str, int] = {}
    while kinds:
        kind = kinds.pop()
        statuses[kind.code] = kind.http_status
        kinds += kind.__subclasses__()
    return statuses


class UnexpectedFailure(PipelineError):
    """A fault of this service; the log has the place in the code."""

    code = "internal"
    retryable = True
    http_status = 500


class HttpFailure(PipelineError):
    """A refusal of the HTTP server itself: an unknown path, a wrong method."""

    def __init__(self, status: int) -> None:
        """Take the status of the refusal."""
        super().__init__("see GET / and docs/ for what this service answers")
        self.code = responses[status].lower().replace(" ", "_")
        self.http_status = status
