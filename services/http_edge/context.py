"""Context of one HTTP request: its id, and its outcome."""

import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from services.common.wire.failures import SpeechCancelled

REQUEST_ID: Final = web.RequestKey("request_id", str)  # the id in /requests/{id}
TENANT: Final = web.RequestKey("tenant", str)  # set by the middleware
_CLIENT_LEFT: Final = 499  # nginx: the client disconnected before the response began
_BYTES_PER_SAMPLE: Final = 2
_LATE_S: Final = 2.5  # first audio, by the objective in docs/runbook.md


@dataclass
class RequestOutcome:
    """The outcome of a request so far."""

    language: str = ""
    sample_rate_hz: int = 0
    audio_bytes: int = 0  # PCM written to the connection
    whole: bool = False  # the last byte was written: from here on the request is a success
    left: bool = False  # the client disconnected before the last byte
    code: str = ""  # of the failure
    http_status: int = _CLIENT_LEFT
    failure_status: int = 0  # the HTTP status of the failure, even if the response had begun
    response: web.StreamResponse | None = None  # None until the head was sent
    began_s: float = field(default_factory=time.monotonic)
    read_s: float | None = None  # the complete request was read
    first_audio_s: float | None = None

    @property
    def response_begun(self) -> bool:
        """Return whether the head of the response was sent."""
        return self.response is not None

    @property
    def status(self) -> str:
        """Return `success`, `error`, or `cancelled` if the client disconnected or cancelled."""
        if self.whole:
            return "success"

        return "cancelled" if self.left or self.code == SpeechCancelled.code else "error"

    @property
    def availability(self) -> str:
        """Return the outcome as an availability objective counts it.

        `success`, `cancelled`, `refused` (a 4xx: the client's fault), or `failed` (a 5xx, before or after the
        response began).
        """
        if self.status != "error":
            return self.status

        return "refused" if 400 <= self.failure_status < 500 else "failed"

    @property
    def audio_seconds(self) -> float:
        """Return the duration of the audio that was written."""
        if not self.sample_rate_hz:
            return 0.0

        return self.audio_bytes / _BYTES_PER_SAMPLE / self.sample_rate_hz

    @property
    def late_wait_s(self) -> float | None:
        """Return how long a client that left had waited for its first audio; None unless that is late."""
        if not self.left or self.first_audio_s is not None or self.read_s is None:
            return None

        waited_s = time.monotonic() - self.read_s
        return waited_s if waited_s > _LATE_S else None

    def record_first_audio(self) -> None:
        """Record when the first audio was available; later calls change nothing."""
        self.first_audio_s = self.first_audio_s or time.monotonic()

    def failed(self, code: str, http_status: int) -> None:
        """Record a failure, and its status if no response has begun."""
        self.code = code
        self.failure_status = http_status

        if not self.response_begun:
            self.http_status = http_status

    def answered(self, response: web.StreamResponse) -> None:
        """Record the response that the handler or the error handling returned.

        A response that was not streamed is complete with it, unless it reports a failure.
        """
        if not self.response_begun:
            self.http_status = response.status

        self.whole = self.whole or not (self.code or self.response_begun)


OUTCOME: Final = web.RequestKey("outcome", RequestOutcome)


def outcome_of(request: web.Request) -> RequestOutcome:
    """Return the outcome of this request, which the middleware counts."""
    return request[OUTCOME]


def tenant_of_caller(request: web.Request) -> str:
    """Return the tenant that sent this request: that of its API key, or the configured one without keys."""
    return request[TENANT]
