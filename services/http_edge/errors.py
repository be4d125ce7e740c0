"""The edge's failures."""

from collections.abc import Collection
from http.client import responses

from services.common.wire.failures import PipelineError
from services.common.wire.messages import SpeechFailed


class BadRequest(PipelineError):
    """The request is invalid: the message names the field and what to send."""

    code = "bad_request"
    http_status = 400

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        """`field`: what is invalid, or missing: a field, a query parameter or a header."""
        super().__init__(detail)
        self.field = field


class UnknownModel(BadRequest):
    """No engine has this name, or another one runs here."""

    code = "model_not_found"
    http_status = 404


class UploadStalled(PipelineError):
    """The client stopped sending before the end of its body."""

    code = "upload_stalled"
    http_status = 408


class UnsupportedEncoding(PipelineError):
    """The body, or a part of it, is compressed or encoded."""

    code = "unsupported_encoding"
    http_status = 415


class TooManyUploads(PipelineError):
    """Too many request bodies are being read, for this caller or in total."""

    code = "too_many_uploads"
    http_status = 503
    http_statuses = (429, 503)
    retryable = True
    retry_after_s = 5.0

    def __init__(self, detail: str, status: int) -> None:
        """`status`: 429 if the caller has reached its limit, 503 if the edge has."""
        super().__init__(detail)
        self.http_status = status


class InsufficientStorage(PipelineError):
    """The disk, or the edge's share of it, has no space for an upload or a response."""

    code = "insufficient_storage"
    retryable = True
    http_status = 503
    retry_after_s = 10.0


class ListenerStalled(PipelineError):
    """The client is connected, but does not read the audio."""

    code = "listener_stalled"
    http_status = 408


class AudioGone(PipelineError):
    """The audio store dropped the audio before it was sent, after every synthesis."""

    code = "audio_gone"
    retryable = True
    http_status = 503


class InconsistentAudio(PipelineError):
    """The engine did not reproduce the audio that was sent before."""

    code = "inconsistent_audio"
    http_status = 502


class TooManyRequests(PipelineError):
    """This edge has reached its limit of concurrent requests."""

    code = "too_many_requests"
    retryable = True
    http_status = 503


class TooManyStreams(PipelineError):
    """The tenant has reached its limit of job streams at this edge."""

    code = "too_many_streams"
    retryable = True
    http_status = 429


class SplitterUnavailable(PipelineError):
    """No splitter replied in time."""

    code = "splitter_unavailable"
    retryable = True
    http_status = 503


class MisdirectedRequest(PipelineError):
    """The Host header names another service, as in a DNS rebinding attack."""

    code = "misdirected_request"
    http_status = 421


class KeyMissing(PipelineError):
    """The request has no API key, but needs one."""

    code = "key_missing"
    http_status = 401


class UnknownKey(PipelineError):
    """The API key does not exist."""

    code = "unknown_key"
    http_status = 401


class EngineNotAllowed(PipelineError):
    """The API key is not allowed to use this engine."""

    code = "engine_not_allowed"
    http_status = 403


class RateExceeded(PipelineError):
    """The API key has exceeded its requests per minute."""

    code = "rate_exceeded"
    retryable = True
    http_status = 429


class CannotReadKeys(PipelineError):
    """The file of API keys is missing or invalid. Raised at start only."""

    code = "cannot_read_keys"


class CannotReadCertificate(PipelineError):
    """The certificate of content credentials or its key is missing or invalid. Raised at start only."""

    code = "cannot_read_certificate"


class CannotReadSecrets(PipelineError):
    """The file of URL secrets is missing or invalid. Raised at start only."""

    code = "cannot_read_secrets"


class SignedUrlInvalid(PipelineError):
    """The signature of a URL is wrong, has expired, or is of a key that no longer exists."""

    code = "signed_url_invalid"
    http_status = 403


class SignedUrlsOff(PipelineError):
    """The operator has set no secret to sign URLs with."""

    code = "signed_urls_off"
    http_status = 501


class RequestIdTaken(PipelineError):
    """Another request has, or recently had, the id that the client chose."""

    code = "request_id_taken"
    http_status = 409


class IdempotencyKeyReused(PipelineError):
    """The idempotency key was used for a different form."""

    code = "idempotency_key_reused"
    http_status = 422


class UnknownRequest(PipelineError):
    """No request with this id exists, or it has expired."""

    code = "unknown_request"
    http_status = 404


class UnknownJob(PipelineError):
    """No job with this id exists, or it has expired."""

    code = "unknown_job"
    http_status = 404


class JobEnded(PipelineError):
    """The job failed or was cancelled, so its audio will never be complete."""

    code = "job_ended"
    http_status = 409


class AudioIncomplete(PipelineError):
    """The audio is not complete yet, so neither is what is made of all of it."""

    code = "audio_incomplete"
    retryable = True
    http_status = 409


class JobNotDone(PipelineError):
    """The job has not ended, so its sentences cannot be replaced."""

    code = "job_not_done"
    retryable = True
    http_status = 409


class JobBusy(PipelineError):
    """Another sentence of the job is being replaced."""

    code = "job_busy"
    retryable = True
    http_status = 409
    retry_after_s = 2.0


class UnknownSentence(PipelineError):
    """The job has no sentence with this index."""

    code = "unknown_sentence"
    http_status = 404


class UnknownChapter(PipelineError):
    """The job has no chapter with this index."""

    code = "unknown_chapter"
    http_status = 404


class TooManyRevisions(PipelineError):
    """The sentences of the job were replaced as often as they can be."""

    code = "too_many_revisions"
    http_status = 409


class ResultsFull(PipelineError):
    """The job results fill their quota; deleting jobs frees space."""

    code = "results_full"
    http_status = 507


class RangeNotSatisfiable(PipelineError):
    """The requested range is outside the audio."""

    code = "range_not_satisfiable"
    http_status = 416

    def __init__(self, detail: str, size: int, *, field: str = "Range") -> None:
        """`size`: bytes of the whole body. `field`: what requested the range."""
        super().__init__(detail)
        self.size = size
        self.field = field


class EdgeStops(PipelineError):
    """This edge is shutting down; the client can continue at another one."""

    code = "edge_stops"
    retryable = True
    http_status = 503


class AddressUnavailable(PipelineError):
    """The port is in use, or the host is not an address of this machine. Raised at start only."""

    code = "cannot_listen"


class RemoteFailure(PipelineError):
    """A failure reported by another service, with that failure's code and status."""

    def __init__(self, failed: SpeechFailed) -> None:
        """Copy code, status and `retryable` from the report."""
        super().__init__(failed.detail)
        self.code = failed.code
        self.http_status = _status_by_code().get(failed.code, 502)
        self.retryable = failed.retryable


def _status_by_code() -> dict[str, int]:
    pending = [PipelineError]
    statuses: dict[str, int] = {}

    while pending:
        failure = pending.pop()
        statuses[failure.code] = failure.http_status
        pending += failure.__subclasses__()

    return statuses


class UnexpectedFailure(PipelineError):
    """A bug in this service; the log has its location in the code."""

    code = "internal"
    retryable = True
    http_status = 500


class HttpFailure(PipelineError):
    """An error of the HTTP server itself, such as an unknown path or a wrong method."""

    def __init__(self, status: int, allowed: Collection[str] = ()) -> None:
        """Derive the code from the status. `allowed`: the methods of the path."""
        super().__init__(
            f"this path does not support the method; send {' or '.join(sorted(allowed))}"
            if allowed
            else "see /docs for the paths and methods of this service"
        )
        self.code = responses[status].lower().replace(" ", "_")
        self.http_status = status
