"""Encoded audio in server-sent events, as OpenAI's `stream_format=sse` defines them.

https://platform.openai.com/docs/api-reference/audio/speech-audio-delta-event
"""

import base64
import json
from typing import Any, Final

from services.http_edge.encoders.protocol import Encoder

_TOKENS_PER_S: Final = 10  # of audio, in `usage`


class EventsEncoder:
    """Wraps each part of another encoder's body in an event `speech.audio.delta`, and ends with `speech.audio.done`.

    `usage` counts a character of the text as an input token, and a tenth of a second of audio as an output token.
    """

    content_type = "text/event-stream"
    header_bytes = None
    trailer_bytes = 0

    def __init__(self, encoder: Encoder, *, characters: int) -> None:
        """`characters`: of the text."""
        self.in_thread = encoder.in_thread
        self._encoder = encoder
        self._characters = characters
        self._sample_rate_hz = 0
        self._samples = 0

    @property
    def tagged(self) -> bool:
        """Return whether the audio has the tags."""
        return self._encoder.tagged

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:
        """Return the header of the audio, as an event."""
        self._sample_rate_hz = sample_rate_hz
        return _delta(self._encoder.header(sample_rate_hz, data_bytes))

    def encode(self, pcm: bytes) -> bytes:
        """Return the encoded bytes that are complete so far, as an event."""
        self._samples += len(pcm) // 2
        return _delta(self._encoder.encode(pcm))

    def end(self) -> bytes:
        """Return the remaining encoded bytes as an event, and the last event."""
        tokens = -(-self._samples * _TOKENS_PER_S // max(1, self._sample_rate_hz))
        usage = {
            "input_tokens": self._characters,
            "output_tokens": tokens,
            "total_tokens": self._characters + tokens,
        }
        done = _event({"type": "speech.audio.done", "usage": usage})
        return _delta(self._encoder.end()) + done


def timestamps_event(sentence: dict[str, Any]) -> bytes:
    """Return the event with the times of a sentence, which follows its audio."""
    return _event({"type": "speech.audio.timestamps"} | sentence)


def _delta(audio: bytes) -> bytes:
    if not audio:
        return b""
    return _event({"type": "speech.audio.delta", "audio": base64.b64encode(audio).decode()})


def _event(content: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(content, separators=(',', ':'))}\n\n".encode()
