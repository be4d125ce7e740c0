"""Defects that averages hide: clicks, cut ends, runaway silence, clipping, a wrong level."""

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.references import RATE_HZ, Samples

_FRAME: Final = RATE_HZ // 100  # 10 ms
_QUIET: Final = 0.018  # of the loud frames: 35 dB down


@dataclass(frozen=True)
class Inspection:
    """Measurements of one sentence's audio."""

    seconds: float
    level_db: float  # RMS of the speech, of full scale
    leading_silence_s: float
    trailing_silence_s: float
    longest_pause_s: float
    clipped_samples: int
    clicks: int
    end_db: float  # the last 10 ms, of the loud frames: a cut word is near 0, a faded one far below
    start_db: float

    def complaints(self) -> list[str]:
        """Name what is wrong, in words; empty where nothing is."""
        checks = {
            f"silence of {self.leading_silence_s:.1f} s before speech": self.leading_silence_s
            > 0.8,
            f"silence of {self.trailing_silence_s:.1f} s after speech": self.trailing_silence_s
            > 1.0,
            f"pause of {self.longest_pause_s:.1f} s inside": self.longest_pause_s > 0.9,
            f"{self.clipped_samples} clipped samples": self.clipped_samples > 3,
            f"{self.clicks} clicks": self.clicks > 0,
            f"ends at {self.end_db:.0f} dB of the speech": self.end_db > -20,
            f"starts at {self.start_db:.0f} dB of the speech": self.start_db > -20,
            f"level {self.level_db:.0f} dB": not -32 < self.level_db < -12,
        }
        return [complaint for complaint, wrong in checks.items() if wrong]

    def fields(self) -> dict[str, float]:
        """Give the figures by name."""
        return asdict(self)


def inspect(samples: Samples) -> Inspection:
    """Measure one sentence, mono at 24 kHz, at least 50 ms long."""
    level = _levels(samples)
    loud = float(np.quantile(level, 0.95)) or 1e-9
    active = np.flatnonzero(level > _QUIET * loud)
    pauses = np.diff(active) - 1
    return Inspection(
        seconds=len(samples) / RATE_HZ,
        level_db=_db(float(np.sqrt(np.mean(level[active] ** 2)))),
        leading_silence_s=float(active[0]) / 100,
        trailing_silence_s=float(len(level) - 1 - active[-1]) / 100,
        longest_pause_s=float(pauses.max(initial=0)) / 100,
        clipped_samples=int(np.sum(np.abs(samples) > 0.999)),
        clicks=_clicks(samples),
        end_db=_db(float(level[-1]) / loud),
        start_db=_db(float(level[0]) / loud),
    )


def _levels(samples: Samples) -> NDArray[np.float64]:
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float64)
    return np.asarray(np.sqrt(np.mean(frames**2, axis=1)))


def _clicks(samples: Samples) -> int:
    """Count steps that the speech around them does not explain, at least 30 ms apart.

    A break in a waveform is white: its third difference stands far over that of the 10 ms either side. The bursts of
    plosives reach 22 times in clean recordings; a break inside loud speech may hide under that.
    """
    rough = np.abs(np.diff(samples.astype(np.float64), n=3))
    around = np.ones(RATE_HZ // 50 + 1)
    middle = len(around) // 2
    around[middle - 4 : middle + 5] = 0
    usual = np.sqrt(np.convolve(rough**2, around / around.sum(), "same")) + 1e-4
    places = np.flatnonzero((rough > 0.02) & (rough > 25 * usual))
    return int(len(places) > 0) + int(np.sum(np.diff(places) > 3 * _FRAME))


def _db(ratio: float) -> float:
    return float(20 * np.log10(max(ratio, 1e-6)))
