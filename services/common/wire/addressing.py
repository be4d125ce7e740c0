"""Checks that a message matches its subject: tenant, request, sentence and chunk. Pure.

NATS permissions and subscriptions apply to the subject; the payload is written by the sender. A message whose payload
differs from its subject is refused.
"""

from services.common.wire.failures import MalformedMessage
from services.common.wire.messages import (
    AudioChunk,
    CancelSpeech,
    NormalizeText,
    RequestEvent,
    SentenceJob,
    SentenceSpoken,
    SpeechFailed,
    SpeechRequest,
    SplitterState,
    StoreClip,
    TextSplit,
    WorkerState,
)
from services.common.wire.subjects import (
    CancelSubject,
    ChunkSubject,
    ClipSubject,
    EndSubject,
    EventSubject,
    FailedSubject,
    ForgetSubject,
    IngressSubject,
    JobSubject,
    NormalizeSubject,
    Parsed,
    RequestSubject,
    SentenceSubject,
    SplitSubject,
    SplitterSubject,
    VoiceSubject,
    WorkerSubject,
    parse,
    parse_as,
)
from services.common.wire.voices import VoiceCommand, VoiceForgotten

_Commands = (
    RequestSubject | IngressSubject | JobSubject | NormalizeSubject | ClipSubject | VoiceSubject
)


def tenant_of(subject: str) -> str | None:
    """Return the tenant whose subject of commands this is; None for any other subject."""
    parsed = parse(subject)
    return parsed.tenant if isinstance(parsed, _Commands) else None


def require_own(
    command: SpeechRequest | NormalizeText | StoreClip | VoiceCommand, subject: str
) -> None:
    """Refuse a command in another tenant's name than that of its subject. Raises MalformedMessage."""
    if command.tenant != tenant_of(subject):
        raise MalformedMessage(
            "tenant differs from the tenant in the subject; publish on your own tenant's subject"
        )


def require_addressed(job: SentenceJob, subject: str) -> SentenceSubject:
    """Return what the subject of a sentence names. Raises MalformedMessage where the job is another one."""
    parsed = parse(subject)
    named = (job.engine, job.tenant, job.request, job.sentence)
    if not isinstance(parsed, SentenceSubject) or named != (
        parsed.engine,
        parsed.tenant,
        parsed.request,
        parsed.sentence,
    ):
        raise MalformedMessage(
            "engine, tenant, request and sentence are those of the subject; this message has others"
        )
    if job.sentence >= job.sentences:
        raise MalformedMessage(
            "sentence is the index of one of the text's sentences, so less than sentences"
        )
    return parsed


def is_event_of(event: RequestEvent, subject: Parsed | None) -> bool:
    """Return whether an event is one that belongs on this subject."""
    if not isinstance(subject, EventSubject) or event.request != subject.request:
        return False
    match event:
        case AudioChunk():
            return (
                isinstance(subject, ChunkSubject) and (event.sentence, event.chunk) == subject[2:]
            )
        case SentenceSpoken():
            return (
                isinstance(subject, EndSubject)
                and event.sentence == subject.sentence < event.sentences
            )
        case TextSplit():
            return isinstance(subject, SplitSubject)
        case SpeechFailed(sentence=None):
            return isinstance(subject, FailedSubject)
        case SpeechFailed():
            return isinstance(subject, EndSubject) and event.sentence == subject.sentence


def is_cancel_of(message: CancelSpeech, subject: CancelSubject) -> bool:
    """Return whether a cancel is one that belongs on this subject."""
    return (message.tenant, message.request) == subject


def is_forget_of(message: VoiceForgotten, subject: str) -> bool:
    """Return whether a `VoiceForgotten` belongs on this subject."""
    return parse_as(subject, ForgetSubject) == ForgetSubject(message.tenant)


def is_heartbeat_of(state: WorkerState | SplitterState, subject: str) -> bool:
    """Return whether a heartbeat is one that belongs on this subject."""
    parsed = parse(subject)
    if isinstance(state, WorkerState):
        return parsed == WorkerSubject(state.engine, state.worker)
    return parsed == SplitterSubject(state.splitter)
