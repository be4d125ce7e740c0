"""The stages of a request that is being accepted.

Parsed, identified, admitted, then stored or joined.

Each stage is immutable and holds the one before it. Times are monotonic seconds.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from msgspec import UNSET

from services.common.wire.messages import SentenceSpoken, SpeechRequest
from services.common.wire.parts import LeftOut
from services.http_edge.context import RequestOutcome
from services.http_edge.encoders.registry import OutputFormat
from services.http_edge.intake.forms.form import Form
from services.http_edge.intake.idempotency import Claim
from services.http_edge.metrics import Metrics
from services.http_edge.speech.session import SpeechSession
from services.http_edge.speech.usage.meter import Meter

# listed in a header; GET /requests/{id}/sentences lists all
_MOST_SPANS: Final = 10
_MOST_FAULTS: Final = 10

_HEADER_SAFE: Final = " !#$&'()*+,-./:;<=>?@[]^_`{|}~"  # visible ASCII that is sent as it is

Undo = Callable[[], Awaitable[None]]


@dataclass
class Rollback:
    """The steps that are undone if the request is not published."""

    discarded: bool = False
    refund: Undo | None = None
    forget: Undo | None = None
    release_key: Undo | None = None

    def discard(self) -> None:
        """Undo nothing: the request was published, here or by a concurrent retry."""
        self.discarded = True

    async def run(self) -> None:
        """Undo the steps, unless they were discarded.

        The id and the key are freed last: a retry that finds them free must not find the charge
        half refunded.
        """
        if self.discarded:
            return
        for step in (self.refund, self.forget, self.release_key):
            if step is not None:
                await step()


@dataclass(frozen=True)
class ParsedRequest:
    """A request whose form was read and checked."""

    tenant: str
    form: Form
    outcome: RequestOutcome
    began_s: float  # reading the body began
    read_s: float  # the form was read and its languages were found
    sample_rate_hz: int  # of the audio to come
    watermark: str  # of the audio to come; "off" if it has none


@dataclass(frozen=True)
class IdentifiedRequest:
    """A parsed request with its id and seed."""

    parsed: ParsedRequest
    claim: Claim
    key: str | None  # digest of its idempotency key, under which a retry finds it
    named: bool  # the client can refer to it: it sent an id or a key

    @property
    def request_id(self) -> str:
        """Return the id of the request, or of the earlier one that it repeats."""
        return self.claim.request

    @property
    def tenant(self) -> str:
        """Return the tenant that sent the request."""
        return self.parsed.tenant


@dataclass(frozen=True)
class AdmittedRequest:
    """An identified request that the queue has capacity for."""

    identified: IdentifiedRequest
    meter: Meter | None  # if its API key has a quota


@dataclass(frozen=True)
class AcceptedRequest:
    """A request whose audio can be produced: either stored here, or found in the store."""

    identified: IdentifiedRequest
    stored_s: float
    warnings: tuple[str, ...]  # about the reference audio

    @property
    def outcome(self) -> RequestOutcome:
        """Return the outcome of the HTTP request."""
        return self.identified.parsed.outcome

    @property
    def sample_rate_hz(self) -> int:
        """Return the sample rate of its audio."""
        return self.identified.parsed.sample_rate_hz

    @property
    def output(self) -> OutputFormat:
        """Return the format of the response."""
        return self.identified.parsed.form.output

    @property
    def audio_s(self) -> float:
        """Return the estimated length of its audio."""
        return self.identified.parsed.form.audio_s

    def note_first_audio(self, endpoint: str, metrics: Metrics) -> None:
        """Record when the first audio arrived; later calls change nothing."""
        if self.outcome.first_audio_s is None:
            self.outcome.record_first_audio()
            metrics.first_byte.labels(endpoint).observe(
                time.monotonic() - self.identified.parsed.read_s
            )

    def headers(self, speech: SpeechSession) -> dict[str, str]:
        """Return the response headers that describe the speech."""
        headers = {
            "X-Seed": str(speech.request.seed),
            "X-Engine": speech.request.engine,
            "X-Watermark": self._watermark(speech.request),
            "X-Language": ", ".join(self.identified.parsed.form.languages),
            "Server-Timing": self._timing(speech),
        }
        headers |= voice_header(speech.request)
        if self.warnings:
            headers["X-Reference-Warning"] = "; ".join(self.warnings)
        if speech.left_out is not None:
            headers["X-Text-Left-Out"] = _left_out_field(speech.left_out)
        if faulty := _fault_field(speech.spoken):
            headers["X-Speech-Fault"] = faulty
        return headers

    def _watermark(self, request: SpeechRequest) -> str:
        """Return the watermark of the audio; that of a request without one is the workers' now."""
        if request.watermark is UNSET:
            return self.identified.parsed.watermark
        return request.watermark

    def _timing(self, speech: SpeechSession) -> str:
        """Return https://www.w3.org/TR/server-timing/ metrics, in milliseconds."""
        parsed = self.identified.parsed
        first_audio_s = self.outcome.first_audio_s or self.stored_s
        marks = {
            "upload": parsed.read_s - parsed.began_s,
            "voice": self.stored_s - parsed.read_s,
            "first-audio": first_audio_s - self.stored_s,
        }
        if speech.assembly.complete:
            marks["total"] = time.monotonic() - parsed.began_s
            marks["synthesis"] = sum(sentence.synthesis_ms for sentence in speech.spoken) / 1000
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in marks.items())


@dataclass(frozen=True)
class StoredRequest(AcceptedRequest):
    """A new request, stored under its id and ready to be published."""

    request: SpeechRequest
    meter: Meter | None
    rollback: Rollback

    def mark_published(self) -> None:
        """Keep what was stored for the request."""
        self.rollback.discard()


@dataclass(frozen=True)
class JoinedRequest(AcceptedRequest):
    """A retry: the store has an earlier request with its idempotency key."""


def voice_header(request: SpeechRequest) -> dict[str, str]:
    """Return the header with the voice of a request; none if it has clips.

    Characters of built-in names that are not ASCII are percent-encoded.
    """
    if request.voice is UNSET:
        return {}
    return {"X-Voice": quote(request.voice, safe=_HEADER_SAFE)}


def _fault_field(spoken: Sequence[SentenceSpoken]) -> str:
    """Return a structured field (RFC 9651): the indexes of the first faulty sentences, with what went wrong."""
    faulty = [end for end in spoken if end.fault is not UNSET][:_MOST_FAULTS]
    return ", ".join(f'{end.sentence};fault="{end.fault}"' for end in faulty)


def _left_out_field(left_out: LeftOut) -> str:
    """Return a structured field (RFC 9651).

    The number of omitted characters, and the first omitted spans.
    """
    spans = " ".join(f"{span.start}-{span.end}" for span in left_out.spans[:_MOST_SPANS])
    return f'{left_out.characters};spans="{spans}"'
