"""Answers with audio and headers that the operations of speech and jobs have in common."""

from typing import Final

from services.http_edge.api_document.operation import Answer
from services.http_edge.encoders.registry import FORMATS
from services.http_edge.subtitles.files import FORMATS as SUBTITLE_FORMATS

AUDIO_TYPES: Final = tuple(found.media_types[0] for found in FORMATS.values())
EVENTS: Final = "text/event-stream"
SPEECH_HEADERS: Final = ("X-Sample-Rate", "X-Seed", "X-Engine", "Content-Disposition")
SOMETIMES: Final = (
    "X-Language",
    "X-Voice",
    "X-Reference-Warning",
    "X-Speech-Fault",
    "X-Text-Left-Out",
    "X-Watermark",
    "X-Container-Mark",
    "X-Content-Credentials",
)
SUBTITLES: Final = Answer(
    200,
    "the subtitles",
    media_types=tuple(found.media_type for found in SUBTITLE_FORMATS.values()),
)
POSTED: Final = ("Request-Name", "Idempotency-Key", "traceparent", "tracestate")
