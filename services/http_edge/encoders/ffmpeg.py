"""Formats encoded by FFmpeg's libraries, through PyAV: MP3, Opus, AAC, FLAC, and G.711 of telephony."""

from typing import Any, ClassVar, Final

import av
import numpy as np

from services.http_edge.encoders.id3 import frames_of, id3_tag
from services.http_edge.encoders.tags import Tags

_MOST_SAMPLES: Final = 4800  # that are given to an encoder at once


class FfmpegEncoder:
    """One codec in one container, written as a stream: the container never seeks back.

    The body ends with what the codec and the container still hold, such as the last Ogg page.
    """

    content_type: ClassVar[str]
    header_bytes: ClassVar[int | None] = None
    trailer_bytes: ClassVar[int] = 0
    in_thread: ClassVar[bool] = True

    container: ClassVar[str]
    codec: ClassVar[str]
    bit_rate: ClassVar[int] = 0  # bits per second; 0: the codec has none
    low_rate_bit_rate: ClassVar[int] = 0  # for sample rates under 16 kHz; 0: as `bit_rate`
    container_options: ClassVar[dict[str, str]] = {}
    codec_options: ClassVar[dict[str, str]] = {}
    can_be_tagged: ClassVar[bool] = False

    def __init__(self, tags: Tags | None = None) -> None:
        self._tags = tags
        self._sink = _Sink()
        self._sample_rate_hz = 0
        self._written = 0  # samples
        self._odd = b""  # a byte whose sample is not complete
        self._container: Any = None
        self._stream: Any = None
        self._resampler: Any = None

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:  # noqa: ARG002  # the protocol's
        """Open the container; return nothing, as it writes its header with the first packet."""
        self._sample_rate_hz = sample_rate_hz
        # bitexact: without it the serial number of Ogg is random, and equal audio gives different bytes
        self._container = av.open(
            self._target(),
            "w",
            format=self.container,
            options={"fflags": "bitexact", **self.container_options},
        )
        self._opened(self._container)
        stream = self._container.add_stream(
            self.codec, rate=sample_rate_hz, options=dict(self.codec_options)
        )
        stream.codec_context.layout = "mono"
        if self.bit_rate:
            low = sample_rate_hz < 16_000 and self.low_rate_bit_rate
            stream.codec_context.bit_rate = self.low_rate_bit_rate if low else self.bit_rate
        self._stream = stream
        self._resampler = av.AudioResampler(  # of the sample format only
            format=stream.codec_context.format, layout="mono", rate=sample_rate_hz
        )
        return self._sink.take()

    def _target(self) -> Any:
        """Return the file that the container writes to."""
        return self._sink

    @property
    def tagged(self) -> bool:
        """Return whether the body has the tags."""
        return self.can_be_tagged and self._tags is not None

    def _opened(self, container: Any) -> None:
        """Add to a container what belongs before its first packet."""
        if self._tags is not None:
            container.metadata.update(self._metadata(self._tags))

    def _metadata(self, tags: Tags) -> dict[str, str]:  # noqa: ARG002  # of the containers that have some
        """Return the tags by FFmpeg's names; none in a container that cannot hold them."""
        return {}

    def encode(self, pcm: bytes) -> bytes:
        """Return the packets that are complete."""
        pcm = self._odd + pcm
        whole = len(pcm) // 2 * 2
        self._odd = pcm[whole:]
        samples = np.frombuffer(pcm[:whole], "<i2")
        for begin in range(0, len(samples), _MOST_SAMPLES):
            self._add(samples[begin : begin + _MOST_SAMPLES])
        return self._sink.take()

    def end(self) -> bytes:
        """Return the last packets, and what the container writes at its end."""
        for frame in self._resampler.resample(None):
            self._mux(frame)
        self._mux(None)
        self._container.close()
        return self._sink.take()

    def _add(self, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = self._sample_rate_hz
        frame.pts = self._written
        self._written += len(samples)
        for converted in self._resampler.resample(frame):
            self._mux(converted)

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


class Mp3Encoder(FfmpegEncoder):
    """MPEG audio layer III, constant bit rate, without a Xing header: a stream has no length to write."""

    content_type: ClassVar[str] = "audio/mpeg"
    container: ClassVar[str] = "mp3"
    codec: ClassVar[str] = "libmp3lame"
    bit_rate: ClassVar[int] = 96_000
    low_rate_bit_rate: ClassVar[int] = 64_000  # the greatest of MPEG-2.5
    container_options: ClassVar[dict[str, str]] = {"write_xing": "0", "id3v2_version": "0"}
    can_be_tagged: ClassVar[bool] = True

    def header(self, sample_rate_hz: int, data_bytes: int | None) -> bytes:
        """Return the ID3 tag, if there is something to say."""
        frames = self._frames()
        tag = id3_tag(frames) if frames else b""
        return tag + super().header(sample_rate_hz, data_bytes)

    def _frames(self) -> list[bytes]:
        return frames_of(self._tags)


class OpusEncoder(FfmpegEncoder):
    """Opus in Ogg (RFC 7845), a page for every packet of 20 ms, so that audio arrives at once."""

    content_type: ClassVar[str] = "audio/ogg"
    container: ClassVar[str] = "ogg"
    codec: ClassVar[str] = "libopus"
    bit_rate: ClassVar[int] = 48_000
    container_options: ClassVar[dict[str, str]] = {"page_duration": "20000"}
    can_be_tagged: ClassVar[bool] = True

    def _metadata(self, tags: Tags) -> dict[str, str]:
        return tags.vorbis_comments()


class AacEncoder(FfmpegEncoder):
    """AAC-LC in ADTS frames (ISO/IEC 13818-7), which players read from any frame on."""

    content_type: ClassVar[str] = "audio/aac"
    container: ClassVar[str] = "adts"
    codec: ClassVar[str] = "aac"
    bit_rate: ClassVar[int] = 96_000
    low_rate_bit_rate: ClassVar[int] = 48_000


class FlacEncoder(FfmpegEncoder):
    """FLAC (RFC 9639) as a stream: its STREAMINFO leaves the number of samples and the MD5 unknown."""

    content_type: ClassVar[str] = "audio/flac"
    container: ClassVar[str] = "flac"
    codec: ClassVar[str] = "flac"
    codec_options: ClassVar[dict[str, str]] = {"frame_size": "2400"}
    can_be_tagged: ClassVar[bool] = True

    def _metadata(self, tags: Tags) -> dict[str, str]:
        return tags.vorbis_comments()


class MulawEncoder(FfmpegEncoder):
    """G.711 mu-law, one byte per sample, without a header."""

    content_type: ClassVar[str] = "audio/basic"
    container: ClassVar[str] = "mulaw"
    codec: ClassVar[str] = "pcm_mulaw"


class AlawEncoder(FfmpegEncoder):
    """G.711 A-law, one byte per sample, without a header."""

    content_type: ClassVar[str] = "audio/x-alaw-basic"
    container: ClassVar[str] = "alaw"
    codec: ClassVar[str] = "pcm_alaw"


class _Sink:
    """A file that can only be written, and gives up what was written."""

    def __init__(self) -> None:
        self._content = bytearray()

    def write(self, content: bytes) -> int:
        self._content += content
        return len(content)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        content = bytes(self._content)
        self._content.clear()
        return content
