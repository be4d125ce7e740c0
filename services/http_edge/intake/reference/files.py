"""Files of any kind, block by block: their content decides how they are read, never their name.

WAV, OGG, AIFF, CAF and AU are read by libsndfile, all else by FFmpeg (through PyAV), or by libsndfile where FFmpeg
refuses it. MP3 is FFmpeg's because libsndfile guesses the length of one that does not tell it, and stops there; FLAC
because libsndfile stops at a damaged frame. A file that is cut or damaged gives what can be read of it: a packet that
the decoder refuses is left out, whatever its reason.

What a file declares is checked before any of it is decoded, and what each frame has when it comes: a header may lie.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import av
import av.error
import av.logging
import numpy as np
import soundfile
from numpy.typing import NDArray

from services.common.wire.failures import UnusableReference
from services.http_edge.intake.reference.answer import FORMATS
from services.http_edge.intake.reference.source import Source

_RATES_HZ: Final = (7_000, 192_000)
_MOST_CHANNELS: Final = 8
_BLOCK_SAMPLES: Final = 1 << 17  # in all channels together, or a second where that is less
_MOST_ERRORS: Final = 100  # of the container, after each of which it is asked for the next packet
_SNDFILE_FORMATS: Final = frozenset({"WAV", "WAVEX", "RF64", "W64", "OGG", "AIFF", "CAF", "AU"})
# Containers that hold sound and nothing but it or a picture. A playlist would make the decoder open what it names.
_CONTAINERS: Final = "matroska,webm,mov,mp4,m4a,3gp,ogg,mp3,aac,flac,wav,w64,aiff,caf,amr,asf,ac3,eac3,wv,ape,tta"

av.logging.set_level(av.logging.PANIC)


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive decoded audio."""

    frames: NDArray[np.float32]  # [n, channels]
    rate_hz: int


@dataclass(frozen=True)
class Track:
    """One of a file's audio tracks."""

    source: Source
    index: int | None  # among its audio tracks; None where libsndfile reads the file

    def blocks(self) -> Iterator[Block]:
        """Yield its audio, all of it of one rate and number of channels. Raises UnusableReference."""
        return _blocks_by_sndfile(self.source) if self.index is None else _blocks_by_ffmpeg(self.source, self.index)


def tracks_of(source: Source) -> list[Track]:
    """Return the file's audio tracks, one or more. Raises UnusableReference."""
    kind = _kind_by_sndfile(source)
    if kind in _SNDFILE_FORMATS:
        return [Track(source, None)]
    try:
        with _opened(source) as container:
            count = len(container.streams.audio)
    except UnusableReference:
        if kind is None:
            raise
        return [Track(source, None)]
    if not count:
        raise UnusableReference(f"the file holds no sound; send 6-30 s of speech as {FORMATS}")
    return [Track(source, index) for index in range(count)]


def require_usual(rate_hz: int, channels: int) -> None:
    """Raise UnusableReference where a rate or a number of channels is none of a recording's."""
    low, high = _RATES_HZ
    if not low <= rate_hz <= high:
        raise UnusableReference(
            f"the file has {rate_hz} samples a second; send 8000 to {high}, best 24000 to 48000, as {FORMATS}"
        )
    if not 1 <= channels <= _MOST_CHANNELS:
        raise UnusableReference(f"the file has {channels} channels; send one or two")


def _kind_by_sndfile(source: Source) -> str | None:
    """Return libsndfile's name for the file's format; None where it reads nothing of it."""
    try:
        with source.open("rb") as opened, soundfile.SoundFile(opened) as file:
            return str(file.format) if len(file.read(1, always_2d=True)) else None
    except soundfile.LibsndfileError:
        return None


def _blocks_by_sndfile(source: Source) -> Iterator[Block]:
    with source.open("rb") as opened, soundfile.SoundFile(opened) as file:
        require_usual(file.samplerate, file.channels)
        size = _block_size(file.samplerate, file.channels)
        try:
            while len(frames := file.read(size, dtype="float32", always_2d=True)):
                yield Block(frames, file.samplerate)
        except soundfile.LibsndfileError:
            return  # damaged in the middle: what came before may do


@contextmanager
def _opened(source: Source) -> Iterator[av.container.InputContainer]:
    """Open a file, whose tags may be in any encoding. Raises UnusableReference, also for what is raised within."""
    try:
        with (
            source.open("rb") as file,
            av.open(file, "r", options={"format_whitelist": _CONTAINERS}, metadata_errors="ignore") as container,
        ):
            yield container
    except (av.error.FFmpegError, ValueError):
        raise UnusableReference(f"the file is not audio that can be read; send {FORMATS}") from None


def _blocks_by_ffmpeg(source: Source, index: int) -> Iterator[Block]:
    with _opened(source) as container:
        stream = container.streams.audio[index]
        if stream.rate and stream.channels:  # else the first frame tells
            require_usual(stream.rate, stream.channels)
        for frame in _of_one_kind(_frames(container, stream)):
            interleaved = np.asarray(frame.to_ndarray(), dtype=np.float32)
            yield Block(interleaved.reshape(-1, frame.layout.nb_channels), frame.sample_rate)


def _of_one_kind(frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Yield long frames of interleaved floats in the first one's rate and layout: a chained file may change them, and
    a damaged one claims to. (Of planar frames PyAV reads one plane too many where there are eight.)"""
    first: av.AudioFrame | None = None
    before: av.AudioFrame | None = None
    converter: av.AudioResampler | None = None
    for frame in frames:
        require_usual(frame.sample_rate, frame.layout.nb_channels)
        first = first or frame
        if converter is None or _kind(frame) != _kind(before or frame):
            yield from converter.resample(None) if converter else ()
            size = _block_size(first.sample_rate, first.layout.nb_channels)
            converter = av.AudioResampler("flt", first.layout, first.sample_rate, frame_size=size)
        frame.pts = None  # what could not be read leaves no gap
        yield from converter.resample(frame)
        before = frame
    yield from converter.resample(None) if converter else ()


def _block_size(rate_hz: int, channels: int) -> int:
    return min(rate_hz, _BLOCK_SAMPLES // channels)


def _kind(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Yield the stream's frames, passing over packets that the decoder refuses, as players do."""
    packets = container.demux(stream)
    errors = 0
    while errors < _MOST_ERRORS:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError:
            errors += 1
            packets = container.demux(stream)
            continue
        with suppress(av.error.FFmpegError):
            yield from packet.decode()
