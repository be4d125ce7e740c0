"""A recording of a voice, with what is shown of it."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from ui.audio.looks import Quality, quality, waveform_path
from ui.audio.reading import read_audio

_KEY_DIGITS: Final = 16


@dataclass(frozen=True)
class RecordedVoice:
    """A recording of a voice. It has the waveform and the measurements instead of the samples."""

    name: str
    content: bytes  # the file as it came
    key: str  # of its content
    waveform: str  # an SVG path
    quality: Quality
    free: bool = False  # in the public domain: no consent needed
    number: int = 0  # of a recording without a name; 0: it has one

    def renamed(self, name: str) -> "RecordedVoice":
        """Return it with another name."""
        return replace(self, name=name, number=0)


def recorded(name: str, content: bytes, *, free: bool = False, number: int = 0) -> RecordedVoice:
    """Return a recording as a voice. Raises BadAudio."""
    samples = read_audio(content)
    return RecordedVoice(
        name,
        content,
        key=sha256(content).hexdigest()[:_KEY_DIGITS],
        waveform=waveform_path(samples),
        quality=quality(samples),
        free=free,
        number=number,
    )
