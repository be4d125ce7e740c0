"""The subjects of the public contract, version 1: one function for each, so that no other file spells one."""

from typing import Final, NamedTuple

from services.common.wire.failures import MalformedMessage
from services.common.wire.messages import Lane, SpeechRequest

REQUESTS: Final = "tts.v1.request.*"
SENTENCES: Final = "tts.v1.sentence.>"
AUDIO: Final = "tts.v1.audio.>"
CANCELS: Final = "tts.v1.cancel.*.*"
WORKERS: Final = "tts.v1.worker.*.*"
SPLITTERS: Final = "tts.v1.splitter.*"
DEAD: Final = "tts.v1.dead.>"
JOBS: Final = "tts.v1.job.*"
NORMALIZE: Final = "tts.v1.normalize.*"


def request(tenant: str) -> str:
    """Return where a tenant publishes `SpeechRequest`."""
    return f"tts.v1.request.{tenant}"


def job(tenant: str) -> str:
    """Return where the `SpeechRequest` of a job goes, that is long and waited for by nobody."""
    return f"tts.v1.job.{tenant}"


def normalize(tenant: str) -> str:
    """Return where a tenant asks `NormalizeText`."""
    return f"tts.v1.normalize.{tenant}"


def lane_sentences(engine: str, lane: Lane) -> str:
    """Return the filter of all sentences on one lane of one engine."""
    return f"tts.v1.sentence.{engine}.{lane}.>"


def sentence(engine: str, lane: Lane, tenant: str, request: str, place: int) -> str:
    """Return where the `SentenceJob` of the sentence at this place goes."""
    return f"tts.v1.sentence.{engine}.{lane}.{tenant}.{request}.{place}"


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
    """Return where the `AudioChunk` at this place goes."""
    return f"tts.v1.audio.{tenant}.{request}.{sentence}.{chunk}"


def end(tenant: str, request: str, sentence: int) -> str:
    """Return where a sentence's `SentenceSpoken` or `SpeechFailed` goes."""
    return f"tts.v1.audio.{tenant}.{request}.{sentence}.end"


def cancel(tenant: str, request: str) -> str:
    """Return where `CancelSpeech` goes."""
    return f"tts.v1.cancel.{tenant}.{request}"


def worker_state(engine: str, worker: str) -> str:
    """Return where a worker says that it is alive."""
    return f"tts.v1.worker.{engine}.{worker}"


def splitter_state(splitter: str) -> str:
    """Return where a splitter says that it is alive."""
    return f"tts.v1.splitter.{splitter}"


def dead(subject: str) -> str:
    """Return where the `DeadLetter` of a message from this subject goes."""
    return f"tts.v1.dead.{subject}"


def commanding_tenant(subject: str) -> str:
    """Return the tenant whose subject of commands this is: of a user who may publish there, the true one."""
    return subject.rsplit(".", 1)[-1]


def require_own(request: SpeechRequest, subject: str) -> None:
    """Refuse a request in another tenant's name than that of the subject it came on. Raises MalformedMessage."""
    if request.tenant != commanding_tenant(subject):
        raise MalformedMessage("the request names another tenant than its subject")


class RequestKey(NamedTuple):
    """Whose request."""

    tenant: str
    request: str


def cancelled_request(subject: str) -> RequestKey:
    """Return the request that a cancel subject names."""
    _, _, _, tenant, request = subject.split(".")
    return RequestKey(tenant, request)
