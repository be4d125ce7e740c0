"""A file of any kind to mono samples, read block by block: content decides, never a name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import av
import av.error
import av.logging
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import UnusableReference

RATE_HZ: Final = 24_000
_BLOCK_FRAMES: Final = 1 << 16
_LONGEST_S: Final = 600  # what follows is not looked at: the best 30 s of ten minutes are good enough
_FORMATS: Final = "WAV, FLAC, MP3, OGG, WebM or M4A"
# Containers that hold sound and nothing but it or a picture. A playlist would make the decoder open what it names.
_CONTAINERS: Final = "matroska,webm,mov,mp4,m4a,3gp,ogg,mp3,aac,flac,wav,w64,aiff,caf,amr,asf,ac3,eac3,wv,ape,tta"

Frames = NDArray[np.float32]  # [n, channels]

av.logging.set_level(av.logging.PANIC)


def decode(path: Path) -> Clip:
    """Return up to ten minutes of the file's sound as 24 kHz mono, float32 [n].

    WAV, FLAC, MP3 and OGG by libsndfile, all else by FFmpeg (through PyAV). Raises UnusableReference.
    """
    pieces = [piece for piece in _resampled(_blocks(path)) if len(piece)]
    if not pieces:
        raise UnusableReference(f"the file holds no sound; send 6-30 s of speech as {_FORMATS}")
    samples = np.concatenate(pieces)
    if not np.all(np.isfinite(samples)):
        raise UnusableReference("the file holds samples that are no numbers; export it again")
    return Clip(samples, RATE_HZ)


def mono(frames: Frames) -> Samples:
    """Return one channel of sound: the mean of two, or the loudest where there are more or two cancel each other."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    energies = np.mean(np.square(frames), axis=0)
    loudest = frames[:, int(np.argmax(energies))]
    if frames.shape[1] > 2:
        return loudest
    mixed: Samples = frames.mean(axis=1, dtype=np.float32)
    return mixed if np.mean(np.square(mixed)) > 0.1 * energies.max() else loudest


def _blocks(path: Path) -> Iterator[tuple[Frames, int]]:
    """Yield the file's frames and their rate."""
    try:
        file = soundfile.SoundFile(path)
    except soundfile.LibsndfileError:
        yield from _blocks_by_ffmpeg(path)
        return
    with file:
        try:
            while len(frames := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
                yield frames, file.samplerate
        except soundfile.LibsndfileError:
            return  # cut in the middle: what came before may do


def _blocks_by_ffmpeg(path: Path) -> Iterator[tuple[Frames, int]]:
    try:
        with path.open("rb") as file, av.open(file, "r", options={"format_whitelist": _CONTAINERS}) as container:
            if not container.streams.audio:
                raise UnusableReference(f"the file holds no sound; send 6-30 s of speech as {_FORMATS}")
            planar = av.AudioResampler(format="fltp")
            for frame in container.decode(audio=0):
                for converted in planar.resample(frame):
                    yield np.ascontiguousarray(converted.to_ndarray().T), converted.sample_rate
    except (av.error.FFmpegError, ValueError, IndexError):
        raise UnusableReference(f"the file is not audio that can be read; send {_FORMATS}") from None


def _resampled(blocks: Iterator[tuple[Frames, int]]) -> Iterator[Samples]:
    """Yield mono samples at 24 kHz, ten minutes at most."""
    stream: soxr.ResampleStream | None = None
    rate_hz, seen_s = 0, 0.0
    for frames, block_rate_hz in blocks:
        if stream is None:
            rate_hz = block_rate_hz
            stream = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32", quality="HQ")
        if block_rate_hz != rate_hz:
            raise UnusableReference("the file changes its sample rate in the middle; export it again")
        yield stream.resample_chunk(mono(frames))
        seen_s += len(frames) / rate_hz
        if seen_s >= _LONGEST_S:
            break
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
