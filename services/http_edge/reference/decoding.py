"""A file of any kind to mono samples, read block by block: content decides, never a name."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import av.error
import av.logging
import numpy as np
import soundfile
from numpy.typing import NDArray

from services.common.audio.clip import Clip, Samples
from services.common.audio.resample import Resampler
from services.common.wire.failures import UnusableReference
from services.http_edge.reference.answer import FORMATS

RATE_HZ: Final = 24_000
_LONGEST_S: Final = 600  # what follows is not looked at: the best 30 s of ten minutes are good enough
_BLOCK_SAMPLES: Final = 1 << 17  # in all channels together
_RATES_HZ: Final = (7_000, 768_000)
_MOST_CHANNELS: Final = 64
_CANCELLED: Final = 0.1  # a mean this far under its loudest channel has lost sound to opposite phases
_SNDFILE_FORMATS: Final = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "OGG", "MP3", "AIFF", "CAF", "AU"})
# Containers that hold sound and nothing but it or a picture. A playlist would make the decoder open what it names.
_CONTAINERS: Final = "matroska,webm,mov,mp4,m4a,3gp,ogg,mp3,aac,flac,wav,w64,aiff,caf,amr,asf,ac3,eac3,wv,ape,tta"

av.logging.set_level(av.logging.PANIC)


@dataclass(frozen=True, eq=False)
class Block:
    """A piece of decoded sound."""

    frames: NDArray[np.float32]  # [n, channels]
    rate_hz: int


_Reader = Callable[[Path], Iterator[Block]]


def decode(path: Path) -> Clip:
    """Return up to ten minutes of the file's sound as 24 kHz mono, float32 [n], finite; floats may go over -1..1.

    WAV, FLAC, MP3 and OGG by libsndfile, all else by FFmpeg (through PyAV). A file that is cut or damaged gives what
    can be read of it. Raises UnusableReference.
    """
    reader = _blocks_by_sndfile if _sndfile_reads(path) else _blocks_by_ffmpeg
    weights = mixing(_checked(reader(path)))
    mixed = np.concatenate(list(_resampled(_checked(reader(path)), weights)))
    if not np.isfinite(mixed).all():
        raise UnusableReference("the file holds samples that are not numbers; export it again")
    return Clip(mixed, RATE_HZ)


def mixing(blocks: Iterable[Block]) -> NDArray[np.float32]:
    """Return what share each channel has in the mono sound, float32 [channels].

    Two channels are averaged, unless they cancel each other; of those, and of more than two (where speech has a
    channel of its own), the loudest is taken. The choice is one for the whole file, so it takes a pass of its own.
    """
    products: NDArray[np.float64] | None = None
    for block in blocks:
        channels = block.frames.shape[1]
        if channels == 1:
            return np.ones(1, dtype=np.float32)
        frames = np.nan_to_num(block.frames).astype(np.float64)
        products = frames.T @ frames + (0 if products is None else products)
    if products is None:
        return np.ones(1, dtype=np.float32)
    energies = np.diagonal(products)
    if len(energies) == 2 and products.mean() > _CANCELLED * energies.max():
        return np.full(2, 0.5, dtype=np.float32)
    loudest = np.zeros(len(energies), dtype=np.float32)
    loudest[int(np.argmax(energies))] = 1
    return loudest


def _sndfile_reads(path: Path) -> bool:
    try:
        with soundfile.SoundFile(os.fsencode(path)) as file:
            return file.format in _SNDFILE_FORMATS and len(file.read(1, always_2d=True)) > 0
    except soundfile.LibsndfileError:
        return False


def _blocks_by_sndfile(path: Path) -> Iterator[Block]:
    with soundfile.SoundFile(os.fsencode(path)) as file:
        size = max(1, _BLOCK_SAMPLES // file.channels)
        try:
            while len(frames := file.read(size, dtype="float32", always_2d=True)):
                yield Block(frames, file.samplerate)
        except soundfile.LibsndfileError:
            return  # damaged in the middle: what came before may do


def _blocks_by_ffmpeg(path: Path) -> Iterator[Block]:
    try:
        with path.open("rb") as file, av.open(file, "r", options={"format_whitelist": _CONTAINERS}) as container:
            if not container.streams.audio:
                raise UnusableReference(f"the file holds no sound; send 6-30 s of speech as {FORMATS}")
            planar = av.AudioResampler(format="fltp")
            for frame in _frames(container):
                for converted in planar.resample(frame):
                    yield Block(np.ascontiguousarray(converted.to_ndarray().T), converted.sample_rate)
    except (av.error.FFmpegError, ValueError):
        raise UnusableReference(f"the file is not audio that can be read; send {FORMATS}") from None


def _frames(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Yield the first audio stream's frames, passing over damaged packets as players do."""
    packets = container.demux(audio=0)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.InvalidDataError):
            return
        try:
            yield from packet.decode()
        except av.error.InvalidDataError:
            continue


def _checked(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the first ten minutes of one format. Raises UnusableReference where it changes or makes no sense."""
    shape: tuple[int, int] | None = None
    seconds = 0.0
    for block in blocks:
        here = (block.rate_hz, block.frames.shape[1])
        if shape is None:
            _require_sense(*here)
        elif here != shape:
            raise UnusableReference("the file changes its sample rate or channels in the middle; export it again")
        shape = here
        yield block
        seconds += len(block.frames) / block.rate_hz
        if seconds >= _LONGEST_S:
            return
    if shape is None:
        raise UnusableReference(f"the file holds no sound; send 6-30 s of speech as {FORMATS}")


def _require_sense(rate_hz: int, channels: int) -> None:
    low, high = _RATES_HZ
    if not low <= rate_hz <= high:
        raise UnusableReference(f"the file has {rate_hz} samples a second; send 8000 or more, best 24000 or more")
    if channels > _MOST_CHANNELS:
        raise UnusableReference(f"the file has {channels} channels; send one or two")


def _resampled(blocks: Iterator[Block], weights: NDArray[np.float32]) -> Iterator[Samples]:
    resampler: Resampler | None = None
    for block in blocks:
        resampler = resampler or Resampler(block.rate_hz, RATE_HZ)
        yield resampler.push(_mixed(block.frames, weights))
    if resampler is not None:
        yield resampler.finish()


def _mixed(frames: NDArray[np.float32], weights: NDArray[np.float32]) -> Samples:
    """Return the weighted sum, float32 [n]: channel by channel, as a matrix product may round as it likes."""
    mixed = np.zeros(len(frames), dtype=np.float32)
    for channel in np.flatnonzero(weights):
        mixed += frames[:, channel] * weights[channel]
    return mixed
