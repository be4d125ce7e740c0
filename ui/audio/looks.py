"""Waveform and quality of a recording. Pure."""

import itertools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ui.audio.reading import LONGEST_S, RATE_HZ, Samples

SHORTEST_S: Final = 3.0  # the service refuses less
SHORT_S: Final = 6.0
BEST_S: Final = 30.0  # more is not listened to
_NOISY_DB: Final = 18.0
_CLIPPED: Final = 0.001  # of all samples
_FRAME: Final = RATE_HZ // 50  # 20 ms


@dataclass(frozen=True)
class Quality:
    """Measurements of a recording."""

    seconds: float
    speech_over_noise_db: (
        float  # loud frames over quiet ones: 90th and 10th percentile of 20 ms frames
    )
    clipped: float  # share of the samples at the limit
    peak: float  # 0 to 1
    whole: bool = True  # False: the file is longer than what was measured

    @property
    def usable(self) -> bool:
        """Return whether the service can take it: it is long enough and not silent."""
        silent = self.whole and "silent" in self.complaints()
        return "too_short" not in self.complaints() and not silent

    def complaints(self) -> tuple[str, ...]:
        """Return the names of what is doubtful, the worst first; none for a good recording."""
        found = {
            "too_short": self.seconds < SHORTEST_S,
            "silent": self.peak < 0.01,
            "clipped": self.clipped > _CLIPPED,
            "noisy": self.peak >= 0.01 and self.speech_over_noise_db < _NOISY_DB,
            "short": SHORTEST_S <= self.seconds < SHORT_S,
            "long": self.seconds > BEST_S + 0.5,
        }
        return tuple(name for name, doubtful in found.items() if doubtful)


def quality(samples: Samples) -> Quality:
    """Measure a recording at `RATE_HZ`."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    levels = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1)) + 1e-6
    quiet, loud = np.percentile(levels, [10, 90]) if len(levels) else (1.0, 1.0)
    return Quality(
        seconds=len(samples) / RATE_HZ,
        speech_over_noise_db=float(20 * np.log10(loud / quiet)),
        clipped=float(np.mean(np.abs(samples) >= 0.995)) if len(samples) else 0.0,
        peak=float(np.max(np.abs(samples), initial=0.0)),
        whole=len(samples) < RATE_HZ * LONGEST_S,
    )


def waveform_path(samples: Samples, *, bars: int = 160) -> str:
    """Return the loudness over time as an SVG path: a stroke each 4 units of width, at most 64 units high."""
    edges = np.linspace(0, len(samples), bars + 1).astype(int)
    heights = [
        float(np.max(np.abs(samples[a:b]), initial=0.0)) for a, b in itertools.pairwise(edges)
    ]
    return "".join(
        f"M{4 * i + 2} {31.5 - 30 * h:.1f}V{32.5 + 30 * h:.1f}" for i, h in enumerate(heights)
    )


# Dark to light in even steps of lightness, so that it is read without colours as well.
_COLOURS: Final = np.array(
    [[8, 8, 32], [60, 15, 110], [160, 40, 120], [240, 110, 80], [255, 245, 190]], float
)


def spectrogram(samples: Samples, rate_hz: int) -> NDArray[np.uint8]:
    """Return an RGB picture (high frequencies on top): 25 ms Hann windows each 5 ms, 70 dB from dark to light."""
    window, hop = int(0.025 * rate_hz), int(0.005 * rate_hz)
    if len(samples) < window:
        samples = np.pad(samples, (0, window - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(window), n=1024)).T[::-1]
    levels = 20 * np.log10(power / max(float(power.max()), 1e-9) + 1e-9)
    shade = np.clip(1 + levels / 70, 0, 1)
    steps = np.linspace(0, 1, len(_COLOURS))
    return np.stack(
        [np.interp(shade, steps, _COLOURS[:, channel]) for channel in range(3)], axis=-1
    ).astype(np.uint8)
