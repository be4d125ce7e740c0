"""A predicted prosody, and arithmetic on it: moving its pitch, finding its voiced part."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.common.audio.spectra import Floats

FRAME_SAMPLES: Final = 600  # of 24 kHz audio, for one frame of content
PITCH_FRAME_SAMPLES: Final = 300

_PITCH_SCALES: Final = (0.6, 1.6)  # beyond, the model's source becomes strained
_VOICED_HZ: Final = 40.0  # the predictor gives a few Hz where there is no voice


@dataclass(frozen=True, eq=False)
class Prosody:
    """A predicted prosody, without a timbre."""

    content: Floats  # [1, 512, frames]
    pitch_hz: Floats  # [1, 2 * frames]; a few Hz where unvoiced
    energy: Floats  # [1, 2 * frames]


def pitch_scale(voice_hz: float, stock_hz: float) -> np.float32:
    """Return the pitch shift from the stock voice to the cloned voice."""
    return np.float32(np.clip(voice_hz / stock_hz, *_PITCH_SCALES))


def moved_pitch(prosody: Prosody, scale: np.float32) -> Prosody:
    """Multiply the pitch by `scale` where it is voiced."""
    pitch: Floats = np.where(
        prosody.pitch_hz > _VOICED_HZ, prosody.pitch_hz * scale, prosody.pitch_hz
    )
    return replace(prosody, pitch_hz=pitch)


def voiced_pitch(prosody: Prosody) -> Floats:
    """Return the pitch where it is voiced, in Hz: [n], n may be 0."""
    return prosody.pitch_hz[prosody.pitch_hz > _VOICED_HZ]


def voiced_at(prosody: Prosody, hop_samples: int) -> NDArray[np.bool_]:
    """Return a mask of every `hop_samples` of the audio of `prosody` that has pitch."""
    voiced = prosody.pitch_hz[0] > _VOICED_HZ
    indices = (
        np.arange(len(voiced) * PITCH_FRAME_SAMPLES // hop_samples + 1)
        * hop_samples
        // PITCH_FRAME_SAMPLES
    )
    chosen: NDArray[np.bool_] = voiced[np.minimum(indices, len(voiced) - 1)]
    return chosen


def cut_prosody(prosody: Prosody, start: int, stop: int) -> Prosody:
    """Take frames `start` to `stop`."""
    halves = slice(2 * start, 2 * stop)
    return Prosody(
        prosody.content[:, :, start:stop], prosody.pitch_hz[:, halves], prosody.energy[:, halves]
    )
