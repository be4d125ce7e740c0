"""Audio with what matters of speech to a leveller: syllables, pauses, leading and trailing silence, any level."""

from collections.abc import Sequence

import numpy as np

from services.common.audio.clip import Samples
from services.common.audio.loudness import integrated_lufs

RATE_HZ = 24_000


def at_lufs(samples: Samples, lufs: float) -> Samples:
    """Return the samples at this loudness."""
    gain = 10 ** ((lufs - integrated_lufs([samples], RATE_HZ)) / 20)
    return (samples * gain).astype(np.float32)


def syllables(seconds: float, seed: int, *, fall_db: float = 2.0) -> Samples:
    """Return a voice of 120 Hz that speaks four syllables a second, each of another loudness, and falls."""
    generator = np.random.default_rng(seed)
    times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * 120 * k * times + k * k) / k for k in range(1, 30))
    loudness_db = np.repeat(generator.normal(0, 1.5, int(seconds * 4) + 1), RATE_HZ // 4)[
        : len(times)
    ]
    loudness_db = loudness_db - fall_db * times / max(seconds, 0.1)
    envelope = np.sin(np.pi * ((times * 4) % 1)) ** 0.5 + 0.05
    return np.asarray(voice * envelope * 10 ** (loudness_db / 20), dtype=np.float32)


def with_quiet(samples: Samples, before_s: float, after_s: float) -> Samples:
    """Return the samples with quiet around them that is not quite silence: -90 dBFS."""
    generator = np.random.default_rng(7)
    before, after = (
        generator.normal(0, 3e-5, round(s * RATE_HZ)).astype(np.float32)
        for s in (before_s, after_s)
    )
    return np.concatenate([before, samples, after])


def cut(samples: Samples, lengths: Sequence[int]) -> list[Samples]:
    """Return the samples in chunks of these lengths, and the rest."""
    return list(np.split(samples, np.minimum(np.cumsum(lengths, dtype=np.int64), len(samples))))
