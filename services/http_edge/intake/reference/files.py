"""Reads audio files of any format block by block.

Their content decides how they are read, never their name.

libsndfile reads WAV, OGG, AIFF, CAF and AU; FFmpeg (through PyAV) reads everything else, and
libsndfile what FFmpeg refuses. FFmpeg reads MP3, because libsndfile guesses the length of a file
that does not declare it and stops there, and FLAC, because libsndfile stops at a damaged frame. Of
a truncated or damaged file everything readable is returned: packets that the decoder rejects are
skipped, whatever the reason.

The declared rate and channels are checked before decoding, and those of each frame as it arrives: a
header can lie.
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
from services.http_edge.intake.reference.source import OpenableFile

_RATES_HZ: Final = (7_000, 192_000)
_MOST_CHANNELS: Final = 8
_BLOCK_SAMPLES: Final = 1 << 17  # in all channels together, or a second if that is less
_MOST_ERRORS: Final = 100  # of the container, each of which is skipped
_SNDFILE_FORMATS: Final = frozenset({"WAV", "WAVEX", "RF64", "W64", "OGG", "AIFF", "CAF", "AU"})
# Containers of audio, possibly with video or a cover. A playlist is not one: the decoder would open what it names.
_CONTAINERS: Final = (
    "matroska,webm,mov,mp4,m4a,3gp,ogg,mp3,aac,flac,wav,w64,aiff,caf,amr,asf,ac3,eac3,wv,ape,tta"
)

av.logging.set_level(av.logging.PANIC)


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive frames of decoded audio."""

    frames: NDArray[np.float32]  # [n, channels]
    rate_hz: int


@dataclass(frozen=True)
class Track:
    """One of a file's audio tracks."""

    source: OpenableFile
    index: int | None  # among its audio tracks; None if libsndfile reads the file

    def blocks(self) -> Iterator[Block]:
        """Yield its audio, at one rate and number of channels. Raises UnusableReference."""
        return (
            _blocks_by_sndfile(self.source)
            if self.index is None
            else _blocks_by_ffmpeg(self.source, self.index)
        )


def tracks_of(source: OpenableFile) -> list[Track]:
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
        raise UnusableReference(f"the file contains no audio; send 6-30 s of speech as {FORMATS}")
    return [Track(source, index) for index in range(count)]


def require_usual(rate_hz: int, channels: int) -> None:
    """Raise UnusableReference for a sample rate or a number of channels that no recording has."""
    low, high = _RATES_HZ
    if not low <= rate_hz <= high:
        raise UnusableReference(
            f"the file has {rate_hz} samples a second; send 8000 to {high}, best 24000 to 48000, as {FORMATS}"
        )
    if not 1 <= channels <= _MOST_CHANNELS:
        raise UnusableReference(f"the file has {channels} channels; send one or two")


def _kind_by_sndfile(source: OpenableFile) -> str | None:
    """Return libsndfile's name of the file's format; None if it can read nothing of it."""
    try:
        with source.open("rb") as opened, soundfile.SoundFile(opened) as file:
            return str(file.format) if len(file.read(1, always_2d=True)) else None
    except soundfile.LibsndfileError:
        return None


def _blocks_by_sndfile(source: OpenableFile) -> Iterator[Block]:
    with source.open("rb") as opened, soundfile.SoundFile(opened) as file:
        require_usual(file.samplerate, file.channels)
        size = _block_size(file.samplerate, file.channels)
        try:
            while len(frames := file.read(size, dtype="float32", always_2d=True)):
                yield Block(frames, file.samplerate)
        except soundfile.LibsndfileError:
            return  # damaged in the middle: the audio before it can be enough


@contextmanager
def _opened(source: OpenableFile) -> Iterator[av.container.InputContainer]:
    """Open a file, whose tags can have any encoding.

    Raises UnusableReference, also for errors inside the block.
    """
    try:
        with (
            source.open("rb") as file,
            av.open(
                file, "r", options={"format_whitelist": _CONTAINERS}, metadata_errors="ignore"
            ) as container,
        ):
            yield container
    except (av.error.FFmpegError, ValueError):
        raise UnusableReference(f"the file is not audio that can be read; send {FORMATS}") from None


def _blocks_by_ffmpeg(source: OpenableFile, index: int) -> Iterator[Block]:
    with _opened(source) as container:
        stream = container.streams.audio[index]
        if stream.rate and stream.channels:  # else the first frame declares them
            require_usual(stream.rate, stream.channels)
        for frame in _uniform(_frames(container, stream)):
            interleaved = np.asarray(frame.to_ndarray(), dtype=np.float32)
            yield Block(interleaved.reshape(-1, frame.layout.nb_channels), frame.sample_rate)


def _uniform(frames: Iterator[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    """Yield long frames of interleaved floats in the rate and layout of the first frame.

    A chained file can change them, and a damaged one can appear to. (PyAV reads one plane too many
    of planar frames with eight.)
    """
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
        frame.pts = None  # unreadable packets leave no gap
        yield from converter.resample(frame)
        before = frame
    yield from converter.resample(None) if converter else ()


def _block_size(rate_hz: int, channels: int) -> int:
    return min(rate_hz, _BLOCK_SAMPLES // channels)


def _kind(frame: av.AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _frames(
    container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[av.AudioFrame]:
    """Yield the stream's frames, skipping packets that the decoder rejects, as players do."""
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
