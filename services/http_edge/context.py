"""Context of one HTTP request: its id, and its outcome."""

import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from services.common.wire.failures import SpeechCancelled

# the request's name: what /requests/{id} takes
REQUEST_ID: Final = web.RequestKey("request_id", str)
_CLIENT_LEFT: Final = 499  # nginx's status for a client that left before the response began
_BYTES_PER_SAMPLE: Final = 2


@dataclass
class Outcome:
    """The outcome of a request so far."""

    language: str = ""
    sample_rate_hz: int = 0
    audio_bytes: int = 0  # PCM that was handed to the connection
    # the last byte was handed over: whatever happens next, the answer is a success
    whole: bool = False
    left: bool = False  # the client did, before that
    code: str = ""  # of the failure
    http_status: int = _CLIENT_LEFT
    response: web.StreamResponse | None = None  # once it has begun
    began_s: float = field(default_factory=time.monotonic)
    first_audio_s: float | None = None

    @property
    def response_begun(self) -> bool:
        """Return whether the head of an answer was sent."""
        return self.response is not None

    @property
    def status(self) -> str:
        """Return `success`, `error`, or `cancelled` where the client left or cancelled the request."""
        if self.whole:
            return "success"
        return "cancelled" if self.left or self.code == SpeechCancelled.code else "error"

    @property
    def audio_seconds(self) -> float:
        """Return how long the audio is that was handed over."""
        return (
            self.audio_bytes / _BYTES_PER_SAMPLE / self.sample_rate_hz
            if self.sample_rate_hz
            else 0.0
        )

    def heard_first(self) -> None:
        """Note that there is audio; later calls change nothing."""
        self.first_audio_s = self.first_audio_s or time.monotonic()

    def failed(self, code: str, http_status: int) -> None:
        """Note the failure, and the status of its answer where none has begun."""
        self.code = code
        if not self.response_begun:
            self.http_status = http_status

    def answered(self, response: web.StreamResponse) -> None:
        """Note what the handler, or its failure, returned: what fits into one answer is whole with it."""
        if not self.response_begun:
            self.http_status = response.status
        self.whole = self.whole or not (self.code or self.response_begun)


OUTCOME: Final = web.RequestKey("outcome", Outcome)


def outcome_of(request: web.Request) -> Outcome:
    """Return the outcome that the middleware counts for this request."""
    return request[OUTCOME]
