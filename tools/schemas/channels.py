"""The subjects as AsyncAPI channels: who publishes which messages where."""

from dataclasses import dataclass
from typing import Final, Literal

from services.common.bus import topology
from services.common.wire import subjects

TENANT: Final = "{tenant}"
REQUEST: Final = "{request}"


@dataclass(frozen=True)
class Channel:
    """One subject, from the view of the service."""

    name: str
    address: str
    action: Literal["receive", "send"]  # what the service does
    messages: tuple[str, ...]
    summary: str
    replies: tuple[str, ...] = ()  # of a core NATS request
    queue: str = ""  # queue group of the processes that receive


# The functions of `subjects` with placeholders for their arguments, so that no address is written twice.
CHANNELS: Final = (
    Channel(
        "request",
        subjects.request(TENANT),
        "receive",
        ("SpeechRequest",),
        "Synthesize a text. JetStream publish into TTS_REQUESTS, with a Nats-Msg-Id.",
    ),
    Channel(
        "job",
        subjects.job(TENANT),
        "receive",
        ("SpeechRequest",),
        "Synthesize a long text as a job. JetStream publish into TTS_JOBS, with a Nats-Msg-Id.",
    ),
    Channel(
        "cancel",
        subjects.cancel(TENANT, REQUEST),
        "receive",
        ("CancelSpeech",),
        "Stop a request. Core NATS.",
    ),
    Channel(
        "normalize",
        subjects.normalize(TENANT),
        "receive",
        ("NormalizeText",),
        "Return the normalized text. Core NATS request.",
        replies=("TextNormalized", "SpeechFailed"),
        queue="splitters",
    ),
    Channel(
        "clip",
        subjects.clip(TENANT),
        "receive",
        ("StoreClip",),
        "Store a recording as a reference clip. Core NATS request.",
        replies=("ClipStored", "ClipRefused"),
        queue="edges",
    ),
    Channel(
        "voice",
        subjects.voice(TENANT),
        "receive",
        ("CreateVoice", "ChangeVoice", "ReadVoice", "DeleteVoice", "ListVoices"),
        "Manage the voices of a tenant. Core NATS request.",
        replies=("VoiceAnswer", "VoiceDeleted", "VoicesListed", "VoiceRefused"),
        queue="edges",
    ),
    Channel(
        "doorRequest",
        subjects.door_request(TENANT),
        "receive",
        ("SpeechRequest",),
        "A request from a tenant with its own NATS account; the reply is a JetStream publish ack.",
        queue="edges",
    ),
    Channel(
        "textSplit",
        subjects.text_split(TENANT, REQUEST),
        "send",
        ("TextSplit",),
        "The sentences of the text, before the first audio. Stored in TTS_AUDIO.",
    ),
    Channel(
        "audioChunk",
        subjects.chunk(TENANT, REQUEST, "{sentence}", "{chunk}"),  # type: ignore[arg-type]
        "send",
        ("AudioChunk",),
        "A chunk of a sentence's audio. Stored in TTS_AUDIO.",
    ),
    Channel(
        "sentenceEnd",
        subjects.end(TENANT, REQUEST, "{sentence}"),  # type: ignore[arg-type]
        "send",
        ("SentenceSpoken", "SpeechFailed"),
        "A sentence is complete, or has failed. Stored in TTS_AUDIO.",
    ),
    Channel(
        "requestFailed",
        subjects.request_failed(TENANT, REQUEST),
        "send",
        ("SpeechFailed",),
        "The request has failed or was cancelled. Stored in TTS_AUDIO.",
    ),
    Channel(
        "sentence",
        subjects.sentence("{engine}", "{lane}", TENANT, REQUEST, "{sentence}"),  # type: ignore[arg-type]
        "send",
        ("SentenceJob",),
        "From splitters to workers: synthesize a sentence. Stored in TTS_SENTENCES.",
    ),
    Channel(
        "forget",
        subjects.forget(TENANT),
        "send",
        ("VoiceForgotten",),
        "To every worker: drop copies of voices. Core NATS.",
    ),
    Channel(
        "provenance",
        subjects.provenance(TENANT),
        "send",
        ("ProvenanceEntry",),
        "Sentences that were synthesized, as a chain of hashes. Stored in TTS_PROVENANCE.",
    ),
    Channel(
        "worker",
        subjects.worker_state("{engine}", "{worker}"),
        "send",
        ("WorkerState",),
        "Heartbeat of a worker, once a second. Core NATS.",
    ),
    Channel(
        "splitter",
        subjects.splitter_state("{splitter}"),
        "send",
        ("SplitterState",),
        "Heartbeat of a splitter, once a second. Core NATS.",
    ),
    Channel(
        "dead",
        subjects.dead("{subject}"),
        "send",
        ("DeadLetter",),
        "A command that failed at every attempt. Stored in TTS_DEAD.",
    ),
    Channel(
        "jobProgress",
        topology.value_subject(topology.PROGRESS, "job.{tenant}.{job}"),
        "send",
        ("JobProgress",),
        "Progress of a job: a value of the bucket TTS_PROGRESS.",
    ),
    Channel(
        "storedVoice",
        topology.value_subject(topology.LIBRARY, "voice.{tenant}.{voice}"),
        "send",
        ("Voice",),
        "A stored voice: a value of the bucket TTS_LIBRARY.",
    ),
)

PARAMETERS: Final[dict[str, dict[str, object]]] = {
    "tenant": {"description": "tenant, as in the message; `public` without separate tenants"},
    "request": {"description": "request id, as in the message"},
    "sentence": {"description": "index of the sentence in the text, from 0"},
    "chunk": {"description": "index of the chunk in the sentence, from 0"},
    "engine": {"description": "name of the engine, such as `embedded` or `xtts`"},
    "lane": {
        "description": "`express` for the first sentence of a request, else `standard`",
        "enum": ["express", "standard"],
    },
    "worker": {"description": "id of the worker process"},
    "splitter": {"description": "id of the splitter process"},
    "subject": {"description": "subject of the failed command, with all of its tokens"},
    "job": {"description": "id of the job"},
    "voice": {"description": "id of the voice"},
}
