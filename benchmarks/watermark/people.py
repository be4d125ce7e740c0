"""Human speech: the recordings of benchmarks/quality, each second of them once."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import soxr
from av.error import FFmpegError

from benchmarks.quality.references import load
from benchmarks.quality.sources import packages, unpacked
from benchmarks.watermark.speech import RATE_HZ
from services.common.audio.clip import Samples
from services.common.audio.pcm import from_pcm16

_ENDINGS: Final = (".wav", ".g722", ".gsm", ".ogg", ".flac", ".raw")
_TOGETHER_S: Final = 300.0  # recordings that are joined
_SEED: Final = 20_240_602


def fragments(cache: Path) -> Iterator[tuple[str, Samples]]:
    """Yield a package's name and 3 to 20 s of its speech.

    The recordings of a folder, most of them prompts of a few seconds, are joined in the order of their names, and cut
    into fragments that do not overlap.
    """
    random = np.random.default_rng(_SEED)
    for package in packages().values():
        root = unpacked(package, cache / "quality")
        for samples in _joined(root):
            start = 0
            while len(samples) - start >= 3 * RATE_HZ:
                length = int(random.uniform(3, 20) * RATE_HZ)
                yield package.name, samples[start : start + length]
                start += length


def _joined(root: Path) -> Iterator[Samples]:
    parts: list[Samples] = []
    folder = root
    for path in sorted(root.rglob("*")):
        if path.suffix not in _ENDINGS or not path.is_file():
            continue
        if path.parent != folder or sum(map(len, parts)) > _TOGETHER_S * RATE_HZ:
            yield np.concatenate([*parts, np.zeros(0, dtype=np.float32)])
            parts = []
            folder = path.parent
        with suppress(ValueError, FFmpegError):  # no audio, or not decodable
            parts.append(_decoded(path))
    yield np.concatenate([*parts, np.zeros(0, dtype=np.float32)])


def _decoded(path: Path) -> Samples:
    if path.suffix == ".raw":
        return soxr.resample(from_pcm16(path.read_bytes()), 16_000, RATE_HZ)
    return load(path)
