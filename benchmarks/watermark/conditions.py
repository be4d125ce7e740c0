"""Changes that recordings undergo between the service and a detector."""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
import soxr

from benchmarks.watermark.speech import RATE_HZ
from services.common.audio.clip import Samples
from services.common.audio.pcm import from_pcm16, to_pcm16
from services.http_edge.encoders.ffmpeg import (
    AacEncoder,
    FfmpegEncoder,
    Mp3Encoder,
    OpusEncoder,
)

Random = np.random.Generator
Change = Callable[[Samples, Random], Samples]

_QUIET: Final = 0.02  # of the loudest 10 ms: a pause


class _Mp3(Mp3Encoder):
    bit_rate = 64_000


class _Mp3At48(Mp3Encoder):
    bit_rate = 48_000


class _Opus(OpusEncoder):
    bit_rate = 24_000


class _Aac(AacEncoder):
    bit_rate = 32_000


class _MuLaw(FfmpegEncoder):
    container = "wav"
    codec = "pcm_mulaw"


def _coded(encoder: type[FfmpegEncoder], rate_hz: int = RATE_HZ) -> Change:
    """Return the condition of a codec at a sample rate."""

    def change(samples: Samples, _: Random) -> Samples:
        encoding = encoder()
        narrow = soxr.resample(samples, RATE_HZ, rate_hz)
        coded = encoding.header(rate_hz, None) + encoding.encode(to_pcm16(narrow)) + encoding.end()
        return _decoded(coded)

    return change


def _decoded(coded: bytes) -> Samples:
    with av.open(io.BytesIO(coded)) as container:
        resampler = av.AudioResampler("s16", "mono", RATE_HZ)
        frames: list[Any] = [*container.decode(audio=0), None]
        parts = [out.to_ndarray()[0] for frame in frames for out in resampler.resample(frame)]
    return from_pcm16(np.concatenate(parts).astype("<i2").tobytes())


def _after(*changes: Change) -> Change:
    def change(samples: Samples, random: Random) -> Samples:
        for one in changes:
            samples = one(samples, random)
        return samples

    return change


def _resampled(*rates_hz: int) -> Change:
    """Return the condition of a conversion to each rate in turn, and back."""

    def change(samples: Samples, _: Random) -> Samples:
        before_hz = RATE_HZ
        for rate_hz in (*rates_hz, RATE_HZ):
            samples = soxr.resample(samples, before_hz, rate_hz)
            before_hz = rate_hz
        return samples

    return change


def _faster(factor: float) -> Change:
    """Return the condition of a tape that runs faster: time and pitch change."""
    return lambda samples, _: soxr.resample(samples, RATE_HZ * factor, RATE_HZ)


def _gained(samples: Samples, random: Random) -> Samples:
    gain_db = float(random.uniform(-24, 6))
    return from_pcm16(to_pcm16(samples * np.float32(10 ** (gain_db / 20))))


def _noisy(samples: Samples, random: Random) -> Samples:
    return _with(samples, random.standard_normal(len(samples)), below_db=20)


def _with_music(samples: Samples, random: Random) -> Samples:
    return _with(samples, _music(len(samples), random), below_db=15)


def _with(samples: Samples, other: np.ndarray[Any, Any], *, below_db: float) -> Samples:
    """Return a sum, in which the mean power of `other` is so far below that of the samples."""
    level = np.sqrt(np.mean(samples**2)) / np.sqrt(np.mean(other**2)) * 10 ** (-below_db / 20)
    return (samples + level * other).astype(np.float32)


def _music(count: int, random: Random) -> np.ndarray[Any, Any]:
    """Return synthetic music: chords of eight harmonics that change twice a second, and a drum."""
    times_s = np.arange(count) / RATE_HZ
    step = RATE_HZ // 2
    total = np.zeros(count)
    for start in range(0, count, step):
        here = slice(start, min(start + step, count))
        decay = np.exp(-(times_s[here] - times_s[start]) * 3)
        root_hz = 110 * 2 ** (int(random.integers(0, 24)) / 12)
        for interval in (0, 4, 7):
            for harmonic in range(1, 9):
                pitch_hz = root_hz * 2 ** (interval / 12) * harmonic
                total[here] += decay / harmonic * np.sin(2 * np.pi * pitch_hz * times_s[here])
        total[here] += decay**8 * random.standard_normal(len(decay))
    return total


def _without_pauses(samples: Samples, _: Random) -> Samples:
    """Cut out everything that is quiet for at least 100 ms, as editors do."""
    size = RATE_HZ // 100
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    level = np.sqrt((frames**2).mean(axis=1))
    quiet = level < _QUIET * level.max()
    kept = [
        frames[run].ravel()
        for run in np.split(np.arange(len(frames)), np.flatnonzero(np.diff(quiet)) + 1)
        if not (quiet[run[0]] and len(run) >= 10)
    ]
    return np.concatenate(kept)


@dataclass(frozen=True)
class Condition:
    """A change of recordings."""

    change: Change
    of_whole: bool = (
        False  # the recording is changed before fragments are cut out; else each fragment is
    )


REQUIRED: Final[Mapping[str, Condition]] = {
    "cut": Condition(lambda samples, _: samples),
    "MP3, 64 kbit/s": Condition(_coded(_Mp3), of_whole=True),
    "Opus, 24 kbit/s": Condition(_coded(_Opus), of_whole=True),
    "8 kHz mu-law": Condition(_coded(_MuLaw, 8_000), of_whole=True),
    "resampled to 44.1 and 16 kHz": Condition(_resampled(44_100, 16_000), of_whole=True),
    "gain of -24 to 6 dB": Condition(_gained),
    "noise at 20 dB": Condition(_noisy),
}
OTHERS: Final[Mapping[str, Condition]] = {
    "AAC, 32 kbit/s": Condition(_coded(_Aac), of_whole=True),
    "MP3, 48 kbit/s, then Opus, 24 kbit/s": Condition(
        _after(_coded(_Mp3At48), _coded(_Opus)), of_whole=True
    ),
    "8 kHz mu-law, then noise at 20 dB": Condition(_after(_coded(_MuLaw, 8_000), _noisy)),
    "music at -15 dB": Condition(_with_music),
    "pauses cut out": Condition(_without_pauses),
    "0.2 % faster": Condition(_faster(1.002), of_whole=True),
    "2 % faster": Condition(_faster(1.02), of_whole=True),
}
CONDITIONS: Final[Mapping[str, Condition]] = {**REQUIRED, **OTHERS}
