"""Messages of docs/wire.md that a client sends and receives. Pure."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import msgpack

from voice_cloning_client.errors import InvalidInput, NotFound, Overloaded, ServiceError
from voice_cloning_client.speech import Value

AUDIO_STREAM: Final = "TTS_AUDIO"
WORKERS: Final = "tts.v1.worker.>"
_TENANT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FLAGS: Final = {"enable_text_splitting": "split", "spoken_forms": "spoken_forms"}
_PLAIN: Final = ("text_type", "pronunciations")
_MAX_TEXT_MS: Final = 3_600_000
_MS_PER_CHARACTER: Final = 200  # of text, generous: speech takes about 70

_NOT_FOUND: Final = ("unknown_voice", "unknown_clip", "unknown_request", "unknown_job")
_OVERLOADED: Final = (
    "engine_unavailable",
    "queue_full",
    "tenant_queue_full",
    "tenant_clips_full",
    "too_many_requests",
    "splitter_unavailable",
)


@dataclass(frozen=True)
class BusRequest:
    """A SpeechRequest that can be published again under another id."""

    request: str
    tenant: str
    engine: str
    language: str
    text: str = field(repr=False)
    seed: int
    deadline_unix_ms: int
    voice: str = ""
    clips: tuple[str, ...] = ()
    first_sentence: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """Return the message."""
        message: dict[str, Any] = {
            "type": "SpeechRequest",
            "request": self.request,
            "tenant": self.tenant,
            "engine": self.engine,
            "language": self.language,
            "text": self.text,
            "seed": self.seed,
            "deadline_unix_ms": self.deadline_unix_ms,
            **self.options,
        }
        optional = {
            "voice": self.voice,
            "clips": list(self.clips),
            "first_sentence": self.first_sentence,
            "parameters": dict(self.parameters),
        }
        message |= {name: value for name, value in optional.items() if value}
        return encoded(message)

    @property
    def subject(self) -> str:
        """Return the subject that it is published on."""
        return f"tts.v1.request.{self.tenant}"

    @property
    def message_id(self) -> str:
        """Return its `Nats-Msg-Id`."""
        return f"request.{self.tenant}.{self.request}"

    @property
    def audio_subject(self) -> str:
        """Return the beginning of the subjects of its events."""
        return f"tts.v1.audio.{self.tenant}.{self.request}"

    def continued(self, request: str, first_sentence: int, split: Mapping[str, Any]) -> Self:
        """Return the request for the sentences that are missing, under another id.

        `split`: the TextSplit of an earlier attempt, whose voices and parameters it keeps.
        """
        return replace(
            self,
            request=request,
            first_sentence=first_sentence,
            voice="" if self.clips else str(split.get("voice") or self.voice),
            parameters=split.get("parameters") or self.parameters,
            options={
                **self.options,
                **({"voices": split["voices"]} if split.get("voices") else {}),
            },
        )

    def cancel(self) -> tuple[str, bytes]:
        """Return subject and message that cancel it."""
        message = {
            "type": "CancelSpeech",
            "request": self.request,
            "tenant": self.tenant,
            "reason": "the client left",
        }
        return f"tts.v1.cancel.{self.tenant}.{self.request}", encoded(message)


def store_clip(tenant: str, audio: bytes) -> tuple[str, bytes]:
    """Return subject and message that store a recording."""
    return f"tts.v1.clip.{tenant}", encoded({"type": "StoreClip", "tenant": tenant, "audio": audio})


def encoded(message: Mapping[str, Any]) -> bytes:
    """Return a message as MessagePack."""
    packed: bytes = msgpack.packb(message)
    return packed


def decoded(payload: bytes) -> dict[str, Any]:
    """Return a message; an empty one if it is not a MessagePack map."""
    try:
        message = msgpack.unpackb(payload)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def failure(message: Mapping[str, Any]) -> ServiceError:
    """Return the error of a SpeechFailed, ClipRefused or VoiceRefused."""
    code = str(message.get("code", "synthesis_failed"))
    kind = ServiceError
    if code in _OVERLOADED and message.get("retryable", False):
        kind = Overloaded
    if code in _NOT_FOUND:
        kind = NotFound
    request = message.get("request")
    return kind(
        code,
        str(message.get("detail", "")),
        retryable=bool(message.get("retryable", False)),
        request_id=None if request is None else str(request),
    )


def described(description: str, status: int) -> ServiceError:
    """Return the error of a refused publish, whose description begins with the failure code."""
    code, _, detail = description.partition(": ")
    error = failure({"code": code, "detail": detail, "retryable": status in (429, 503)})
    error.status = status
    return error


def checked_tenant(tenant: str) -> str:
    """Return the tenant. Raises InvalidInput."""
    if not _TENANT.fullmatch(tenant):
        raise InvalidInput("tenant must be 1 to 64 letters, digits, hyphens or underscores")
    return tenant


def checked_language(language: str) -> str:
    """Return the language. Raises InvalidInput: over NATS nothing detects it."""
    if not language or language == "auto":
        raise InvalidInput("language is required over NATS; send a code such as en")
    return language


def split_options(options: Mapping[str, Value]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return synthesis parameters and further fields of a SpeechRequest."""
    fields = {name: options[name] for name in _PLAIN if name in options}
    fields |= {new: bool(options[name]) for name, new in _FLAGS.items() if name in options}
    voices = options.get("voices")
    if isinstance(voices, Mapping):
        fields["voices"] = [{"name": name, "voice": voice} for name, voice in voices.items()]
    known = (*_PLAIN, *_FLAGS, "voices")
    parameters = {name: value for name, value in options.items() if name not in known}
    return parameters, fields


def deadline_ms(now_s: float, text: str, patience_s: float) -> int:
    """Return by when the work must have started."""
    speaking_ms = min(_MAX_TEXT_MS, len(text) * _MS_PER_CHARACTER)
    return math.ceil((now_s + patience_s) * 1000) + speaking_ms


def running_engine(engines: Sequence[str]) -> str:
    """Return the only engine that runs. Raises InvalidInput if there are several."""
    names = sorted(set(engines))
    if len(names) > 1:
        raise InvalidInput(f"several engines are running; choose one of {', '.join(names)}")
    return names[0]
