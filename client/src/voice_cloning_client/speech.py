"""A text to synthesize, as the form of a request."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from voice_cloning_client.audio import format_named
from voice_cloning_client.errors import InvalidInput

Clip = bytes | str | Path  # the content of a recording, or the path of its file
Value = str | int | float | bool | Mapping[str, str] | Sequence[Mapping[str, Any]]

_MAX_CLIPS: Final = 8


@dataclass(frozen=True)
class Speech:
    """A text to synthesize, and how."""

    text: str = field(repr=False)
    voice: str = ""
    language: str = ""
    format: str = "wav"
    sample_rate: int | None = None
    seed: int | None = None
    clips: tuple[bytes, ...] = field(default=(), repr=False)  # recordings of one speaker
    options: Mapping[str, Value] = field(default_factory=dict)  # further fields, such as `speed`

    def fields(self) -> dict[str, str]:
        """Return the fields of the form, without files and without the format."""
        fields = {"text": self.text, "voice": self.voice, "language": self.language}
        if self.seed is not None:
            fields["seed"] = str(self.seed)
        fields |= {name: form_value(value) for name, value in self.options.items()}
        return {name: value for name, value in fields.items() if value}

    def output(self) -> dict[str, str]:
        """Return the fields of the output format."""
        fields = {"response_format": format_named(self.format).name}
        if self.sample_rate is not None:
            fields["sample_rate"] = str(self.sample_rate)
        return fields

    def form(self) -> aiohttp.FormData:
        """Return the form of `/stream`."""
        return form(self.fields() | self.output(), self.clips)


def form(fields: Mapping[str, str], clips: Sequence[bytes] = ()) -> aiohttp.FormData:
    """Return a multipart form with fields, and recordings as `reference_audio`."""
    made = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        made.add_field(name, value)
    for number, clip in enumerate(clips):
        made.add_field("reference_audio", clip, filename=f"clip-{number}")
    return made


def form_value(value: Value | Mapping[str, Any]) -> str:
    """Return a value as it is written in a form."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return json.dumps(dict(value), ensure_ascii=False)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return json.dumps(list(value), ensure_ascii=False)
    return str(value)


def checked_text(text: str) -> str:
    """Return the text. Raises InvalidInput if it cannot be sent."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"text has a character at offset {error.start} that is not valid Unicode; send UTF-8"
        ) from None

    if not text.strip():
        raise InvalidInput("text is empty; send at least one word")
    return text


def read_clips(clips: Clip | Sequence[Clip]) -> tuple[bytes, ...]:
    """Return the content of recordings. Raises InvalidInput for a file that cannot be read."""
    given = [clips] if isinstance(clips, (bytes, str, Path)) else list(clips)
    if len(given) > _MAX_CLIPS:
        raise InvalidInput(f"{len(given)} clips were given; send at most {_MAX_CLIPS}")
    return tuple(clip if isinstance(clip, bytes) else read_file(clip) for clip in given)


def read_file(path: str | Path) -> bytes:
    """Return the content of a file. Raises InvalidInput."""
    try:
        content = Path(path).expanduser().read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is invalid"
        raise InvalidInput(f"{path} cannot be read: {reason}") from None

    if not content:
        raise InvalidInput(f"{path} is empty; send a recording of 6 to 30 s")
    return content
