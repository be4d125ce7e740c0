"""From a package's recordings to two clips of one speaker that share no recording: a reference and a held-out one."""

import hashlib
from pathlib import Path
from typing import Final

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from benchmarks.quality.speakers import Speaker

Samples = NDArray[np.float32]  # [n], mono, full scale is -1..1

RATE_HZ: Final = 24_000  # what the service keeps of a reference
CLIP_SECONDS: Final = 15.0  # of speech, for the reference and again for the held-out clip
_LONGEST_SECONDS: Final = 8.0  # one recording never is most of a clip
_FRAME: Final = RATE_HZ // 100
_GAP: Final = np.zeros(RATE_HZ // 5, np.float32)
_RAW_FORMATS: Final = {".g722": "g722", ".gsm": "gsm"}


def prepare(speaker: Speaker, package_root: Path, folder: Path) -> tuple[Path, Path]:
    """Write `<id>_ref.wav` and `<id>_held.wav`, 24 kHz mono 16-bit, where they are missing, and name them."""
    reference, held = folder / f"{speaker.id}_ref.wav", folder / f"{speaker.id}_held.wav"
    if not (reference.exists() and held.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        for path, samples in zip(
            (reference, held), _halves(_pieces(speaker, package_root)), strict=True
        ):
            soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return reference, held


def load(path: Path) -> Samples:
    """Decode any recording to mono at 24 kHz."""
    with av.open(
        str(path), format=_RAW_FORMATS.get(path.suffix), metadata_errors="ignore"
    ) as container:
        rate = container.streams.audio[0].rate
        mono = av.AudioResampler("fltp", "mono", rate)
        frames = [
            out.to_ndarray()[0]
            for frame in container.decode(audio=0)
            for out in mono.resample(frame)
        ]
    samples: Samples = soxr.resample(np.concatenate(frames), rate, RATE_HZ).astype(np.float32)
    return samples


def _pieces(speaker: Speaker, root: Path) -> list[Samples]:
    paths = sorted({path for glob in speaker.files for path in root.glob(glob)})
    if not paths:
        raise FileNotFoundError(f"{speaker.id}: {speaker.package} holds none of {speaker.files}")
    if len(paths) == 1:
        return _cut_at_pauses(load(paths[0]))
    pieces: list[Samples] = []
    for path in sorted(
        paths, key=_shuffled
    ):  # so that each clip holds a mixture, the same on every machine
        piece = _trimmed(load(path))
        if speaker.least_seconds <= len(piece) / RATE_HZ <= _LONGEST_SECONDS:
            pieces.append(piece)
        if sum(map(len, pieces)) > 2.5 * CLIP_SECONDS * RATE_HZ:
            break
    return pieces


def _shuffled(path: Path) -> str:
    return hashlib.sha256(path.name.encode()).hexdigest()


def _halves(pieces: list[Samples]) -> tuple[Samples, Samples]:
    total = sum(map(len, pieces))
    wanted = min(total / 2, CLIP_SECONDS * RATE_HZ)
    first: list[Samples] = []
    while sum(map(len, first)) < wanted and len(pieces) > len(first) + 1:
        first.append(pieces[len(first)])
    second: list[Samples] = []
    for piece in pieces[len(first) :]:
        if sum(map(len, second)) < CLIP_SECONDS * RATE_HZ:
            second.append(piece)
    return _joined(first), _joined(second)


def _joined(pieces: list[Samples]) -> Samples:
    joined = np.concatenate([part for piece in pieces for part in (piece, _GAP)])
    return np.asarray(0.7 * joined / np.abs(joined).max(), np.float32)


def _active(samples: Samples) -> NDArray[np.bool_]:
    """Return a mask of the 10 ms frames that are within 35 dB of the loudest ones."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    level = np.sqrt(np.mean(frames.astype(np.float64) ** 2, axis=1))
    return (
        np.asarray(level > 0.018 * np.quantile(level, 0.98))
        if len(level)
        else np.zeros(0, np.bool_)
    )


def _trimmed(samples: Samples) -> Samples:
    active = np.flatnonzero(_active(samples))
    if not len(active):
        return samples[:0]
    return samples[max(active[0] - 5, 0) * _FRAME : (active[-1] + 6) * _FRAME]


def _cut_at_pauses(samples: Samples) -> list[Samples]:
    """Cut one long recording at pauses of 0.2 s and more, and where none comes (noise), every few seconds."""
    active = np.flatnonzero(_active(samples))
    breaks = np.flatnonzero(np.diff(active) > 20)
    starts = [active[0], *active[breaks + 1]]
    ends = [*active[breaks], active[-1]]
    longest = int(_LONGEST_SECONDS / 2 * RATE_HZ)
    pieces = [
        samples[max(s - 5, 0) * _FRAME : (e + 6) * _FRAME]
        for s, e in zip(starts, ends, strict=True)
    ]
    return [piece[at : at + longest] for piece in pieces for at in range(0, len(piece), longest)]
