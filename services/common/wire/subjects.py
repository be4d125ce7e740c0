"""The subjects of the public contract, version 1: one function for each, so that no other file spells one.

`parse` is the way back. It reads any string, and returns None for what is not a subject of the contract.
"""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

from services.common.wire.fields import ENGINE_PATTERN, MOST_CHUNKS, MOST_SENTENCES, Lane

REQUESTS: Final = "tts.v1.request.*"
SENTENCES: Final = "tts.v1.sentence.>"
AUDIO: Final = "tts.v1.audio.>"
CANCELS: Final = "tts.v1.cancel.*.*"
WORKERS: Final = "tts.v1.worker.*.*"
SPLITTERS: Final = "tts.v1.splitter.*"
DEAD: Final = "tts.v1.dead.>"
JOBS: Final = "tts.v1.job.*"
NORMALIZE: Final = "tts.v1.normalize.*"
INGRESS_REQUESTS: Final = "tts.v1.door.request.*"
STORE_CLIPS: Final = "tts.v1.clip.*"
VOICES: Final = "tts.v1.voice.*"
FORGETS: Final = "tts.v1.forget.*"
PROVENANCE: Final = "tts.v1.provenance.*"


def request(tenant: str) -> str:
    """Return where a tenant publishes `SpeechRequest`."""
    return f"tts.v1.request.{tenant}"


def job(tenant: str) -> str:
    """Return the subject of a job's `SpeechRequest`."""
    return f"tts.v1.job.{tenant}"


def normalize(tenant: str) -> str:
    """Return where a tenant asks `NormalizeText`."""
    return f"tts.v1.normalize.{tenant}"


def door_request(tenant: str) -> str:
    """Return where an edge hears the `SpeechRequest` that a tenant publishes in its own NATS account."""
    return f"tts.v1.door.request.{tenant}"


def clip(tenant: str) -> str:
    """Return where a tenant asks `StoreClip`."""
    return f"tts.v1.clip.{tenant}"


def voice(tenant: str) -> str:
    """Return where a tenant sends `voices.VoiceCommand`."""
    return f"tts.v1.voice.{tenant}"


def forget(tenant: str) -> str:
    """Return where `VoiceForgotten` goes, to every worker."""
    return f"tts.v1.forget.{tenant}"


def provenance(tenant: str) -> str:
    """Return where the log of a tenant's sentences is stored, `ProvenanceEntry`."""
    return f"tts.v1.provenance.{tenant}"


def tenant_events(tenant: str) -> str:
    """Return the filter of everything that happens to all requests of one tenant."""
    return f"tts.v1.audio.{tenant}.>"


def lane_sentences(engine: str, lane: Lane) -> str:
    """Return the filter of all sentences on one lane of one engine."""
    return f"tts.v1.sentence.{engine}.{lane}.>"


def sentence(engine: str, lane: Lane, tenant: str, request: str, index: int) -> str:
    """Return where the `SentenceJob` of the sentence at this index goes."""
    return f"tts.v1.sentence.{engine}.{lane}.{tenant}.{request}.{index}"


def request_sentences(tenant: str, request: str) -> str:
    """Return the filter of all queued sentences of one request."""
    return f"tts.v1.sentence.*.*.{tenant}.{request}.*"


def request_events(tenant: str, request: str) -> str:
    """Return the filter of everything that happens to one request: `RequestEvent`."""
    return f"tts.v1.audio.{tenant}.{request}.>"


def request_ends(tenant: str, request: str) -> str:
    """Return the filter of how all sentences of one request ended: `SentenceSpoken` or `SpeechFailed`."""
    return f"tts.v1.audio.{tenant}.{request}.*.end"


def text_split(tenant: str, request: str) -> str:
    """Return where `TextSplit` goes."""
    return f"tts.v1.audio.{tenant}.{request}.split"


def request_failed(tenant: str, request: str) -> str:
    """Return where `SpeechFailed` goes when no sentence is to blame."""
    return f"tts.v1.audio.{tenant}.{request}.failed"


def chunk(tenant: str, request: str, sentence: int, chunk: int) -> str:
    """Return where the `AudioChunk` at this index of a sentence goes."""
    return f"tts.v1.audio.{tenant}.{request}.{sentence}.{chunk}"


def end(tenant: str, request: str, sentence: int) -> str:
    """Return where a sentence's `SentenceSpoken` or `SpeechFailed` goes."""
    return f"tts.v1.audio.{tenant}.{request}.{sentence}.end"


def cancel(tenant: str, request: str) -> str:
    """Return where `CancelSpeech` goes."""
    return f"tts.v1.cancel.{tenant}.{request}"


def worker_state(engine: str, worker: str) -> str:
    """Return where a worker publishes its heartbeat, `WorkerState`."""
    return f"tts.v1.worker.{engine}.{worker}"


def splitter_state(splitter: str) -> str:
    """Return where a splitter publishes its heartbeat, `SplitterState`."""
    return f"tts.v1.splitter.{splitter}"


def dead(subject: str) -> str:
    """Return where the `DeadLetter` of a message from this subject goes."""
    return f"tts.v1.dead.{subject}"


class RequestSubject(NamedTuple):
    """Of a `SpeechRequest`."""

    tenant: str


class JobSubject(NamedTuple):
    """Of the `SpeechRequest` of a job."""

    tenant: str


class NormalizeSubject(NamedTuple):
    """Of a `NormalizeText`."""

    tenant: str


class IngressSubject(NamedTuple):
    """Of a `SpeechRequest` that an edge is asked to queue."""

    tenant: str


class ClipSubject(NamedTuple):
    """Of a `StoreClip`."""

    tenant: str


class VoiceSubject(NamedTuple):
    """Of a `voices.VoiceCommand`."""

    tenant: str


class ForgetSubject(NamedTuple):
    """Of a `VoiceForgotten`."""

    tenant: str


class ProvenanceSubject(NamedTuple):
    """Of a `ProvenanceEntry`."""

    tenant: str


class SentenceSubject(NamedTuple):
    """Of a `SentenceJob`."""

    engine: str
    lane: str
    tenant: str
    request: str
    sentence: int


class ChunkSubject(NamedTuple):
    """Of an `AudioChunk`."""

    tenant: str
    request: str
    sentence: int
    chunk: int


class EndSubject(NamedTuple):
    """Of a sentence's `SentenceSpoken` or `SpeechFailed`."""

    tenant: str
    request: str
    sentence: int


class SplitSubject(NamedTuple):
    """Of a `TextSplit`."""

    tenant: str
    request: str


class FailedSubject(NamedTuple):
    """Of a request's `SpeechFailed`."""

    tenant: str
    request: str


class CancelSubject(NamedTuple):
    """Of a `CancelSpeech`."""

    tenant: str
    request: str


class WorkerSubject(NamedTuple):
    """Of a `WorkerState`."""

    engine: str
    worker: str


class SplitterSubject(NamedTuple):
    """Of a `SplitterState`."""

    splitter: str


class DeadSubject(NamedTuple):
    """Of a `DeadLetter`."""

    subject: str  # that the dead message came on


EventSubject = ChunkSubject | EndSubject | SplitSubject | FailedSubject
Parsed = (
    RequestSubject
    | JobSubject
    | NormalizeSubject
    | IngressSubject
    | ClipSubject
    | VoiceSubject
    | ForgetSubject
    | ProvenanceSubject
    | SentenceSubject
    | EventSubject
    | CancelSubject
    | WorkerSubject
    | SplitterSubject
    | DeadSubject
)
ParsedT = TypeVar("ParsedT", bound=Parsed)

_TENANT: Final = r"(?P<tenant>[A-Za-z0-9_-]{1,64})"
_REQUEST: Final = r"(?P<request>[A-Za-z0-9_-]{8,64})"
_SENTENCE: Final = r"(?P<sentence>0|[1-9][0-9]{0,6})"
_ENGINE: Final = f"(?P<engine>{ENGINE_PATTERN})"
_PROCESS: Final = "[A-Za-z0-9_-]{1,64}"
_PATTERNS: Final = MappingProxyType(
    {
        RequestSubject: re.compile(rf"tts\.v1\.request\.{_TENANT}"),
        JobSubject: re.compile(rf"tts\.v1\.job\.{_TENANT}"),
        NormalizeSubject: re.compile(rf"tts\.v1\.normalize\.{_TENANT}"),
        IngressSubject: re.compile(rf"tts\.v1\.door\.request\.{_TENANT}"),
        ClipSubject: re.compile(rf"tts\.v1\.clip\.{_TENANT}"),
        VoiceSubject: re.compile(rf"tts\.v1\.voice\.{_TENANT}"),
        ForgetSubject: re.compile(rf"tts\.v1\.forget\.{_TENANT}"),
        ProvenanceSubject: re.compile(rf"tts\.v1\.provenance\.{_TENANT}"),
        SentenceSubject: re.compile(
            rf"tts\.v1\.sentence\.{_ENGINE}\.(?P<lane>express|standard)\.{_TENANT}\.{_REQUEST}\.{_SENTENCE}"
        ),
        ChunkSubject: re.compile(
            rf"tts\.v1\.audio\.{_TENANT}\.{_REQUEST}\.{_SENTENCE}\.(?P<chunk>0|[1-9][0-9]{{0,6}})"
        ),
        EndSubject: re.compile(rf"tts\.v1\.audio\.{_TENANT}\.{_REQUEST}\.{_SENTENCE}\.end"),
        SplitSubject: re.compile(rf"tts\.v1\.audio\.{_TENANT}\.{_REQUEST}\.split"),
        FailedSubject: re.compile(rf"tts\.v1\.audio\.{_TENANT}\.{_REQUEST}\.failed"),
        CancelSubject: re.compile(rf"tts\.v1\.cancel\.{_TENANT}\.{_REQUEST}"),
        WorkerSubject: re.compile(rf"tts\.v1\.worker\.{_ENGINE}\.(?P<worker>{_PROCESS})"),
        SplitterSubject: re.compile(rf"tts\.v1\.splitter\.(?P<splitter>{_PROCESS})"),
        DeadSubject: re.compile(r"tts\.v1\.dead\.(?P<subject>[!-~]+)"),
    }
)
_NUMBERS: Final = MappingProxyType({"sentence": MOST_SENTENCES, "chunk": MOST_CHUNKS})


def parse(subject: str) -> Parsed | None:
    """Return what a subject of the contract names; None for any other string. Never raises."""
    for kind, pattern in _PATTERNS.items():
        found = pattern.fullmatch(subject)
        if found is not None:
            return _made(kind, found.groupdict())
    return None


def parse_as(subject: str, kind: type[ParsedT]) -> ParsedT | None:
    """Return what a subject of this kind names; None for any other string. Never raises."""
    found = _PATTERNS[kind].fullmatch(subject)
    made = None if found is None else _made(kind, found.groupdict())
    return made if isinstance(made, kind) else None


def _made(kind: Callable[..., Parsed], tokens: dict[str, str]) -> Parsed | None:
    fields = {name: int(token) if name in _NUMBERS else token for name, token in tokens.items()}
    too_large = any(int(tokens[name]) > most for name, most in _NUMBERS.items() if name in tokens)
    return None if too_large else kind(**fields)
