"""The failures of each operation, in groups, and their description."""

from collections.abc import Iterable
from http.client import responses
from typing import Final

from services.common.wire import failures as wire
from services.http_edge import errors
from services.http_edge.api_document.operation import Failure
from services.http_edge.errors import HttpFailure

# of every path: before a handler runs
EVERYWHERE: Final[tuple[Failure, ...]] = (
    errors.BadRequest,
    errors.MisdirectedRequest,
    errors.UnsupportedEncoding,
    errors.TooManyRequests,
    errors.InsufficientStorage,
    errors.UnexpectedFailure,
    405,
)
# of every path that needs a key
KEYED: Final[tuple[Failure, ...]] = (
    errors.KeyMissing,
    errors.UnknownKey,
    errors.SignedUrlInvalid,
    errors.EngineNotAllowed,
    errors.RateExceeded,
    wire.BusUnavailable,
    wire.QueueFull,
    403,
)
BODY: Final[tuple[Failure, ...]] = (
    errors.UploadStalled,
    errors.TooManyUploads,
    wire.ReferenceTooLarge,
    417,
)
TEXT: Final[tuple[Failure, ...]] = (
    wire.EmptyText,
    wire.TextTooLong,
    wire.UnsupportedLanguage,
    wire.MalformedSsml,
)
RECORDINGS: Final[tuple[Failure, ...]] = (wire.UnusableReference, wire.TenantQueueFull)
# of a request that is accepted before it is synthesized
ACCEPTING: Final[tuple[Failure, ...]] = (
    *BODY,
    *TEXT,
    *RECORDINGS,
    wire.UnsupportedParameter,
    wire.UnknownVoice,
    wire.EngineUnavailable,
    wire.TenantClipsFull,
    wire.TenantRequestsFull,
    wire.QuotaUsedUp,
    errors.RequestIdTaken,
    errors.IdempotencyKeyReused,
    errors.UnknownRequest,  # that of an idempotency key
)
# of synthesis, and of sending the audio
SPEAKING: Final[tuple[Failure, ...]] = (
    wire.MalformedMessage,
    wire.UnspeakableText,
    wire.UnknownClip,
    wire.DeadlineExceeded,
    wire.SpeechCancelled,
    wire.SynthesisFailed,
    wire.EngineCrashed,
    errors.InconsistentAudio,
    errors.ListenerStalled,
    errors.AudioGone,
    errors.EdgeStops,
)
STARTING: Final = (
    errors.CannotReadKeys,
    errors.CannotReadSecrets,
    errors.CannotReadCertificate,
    errors.AddressUnavailable,
)  # never sent


def code_of(failure: Failure) -> str:
    """Return the code of a failure."""
    return HttpFailure(failure).code if isinstance(failure, int) else failure.code


def statuses_of(failure: Failure) -> tuple[int, ...]:
    """Return the statuses that a failure is sent with."""
    if isinstance(failure, int):
        return (failure,)
    several: tuple[int, ...] = getattr(failure, "http_statuses", ())
    return several or (failure.http_status,)


def by_status(failures: Iterable[Failure]) -> dict[int, dict[str, str]]:
    """Return the failures by status: code -> description."""
    found: dict[int, dict[str, str]] = {}
    for failure in failures:
        for status in statuses_of(failure):
            found.setdefault(status, {})[code_of(failure)] = _description(failure)
    return {status: found[status] for status in sorted(found)}


def _description(failure: Failure) -> str:
    if isinstance(failure, int):
        return str(HttpFailure(failure)) if failure != 417 else "send Expect: 100-continue, or none"
    return (failure.__doc__ or "").partition("\n")[0]


def reason(status: int) -> str:
    """Return the reason phrase of a status."""
    return responses.get(status, "Client Closed Request")
