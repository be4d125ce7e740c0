"""PCM to the formats that a speech can be saved in."""

import io
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, cast

import av
import numpy as np
from av.audio.stream import AudioStream
from numpy.typing import NDArray

# File ending: media type.
FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {"wav": "audio/wav", "mp3": "audio/mpeg", "opus": "audio/ogg", "flac": "audio/flac"}
)
_CODECS: Final = MappingProxyType(
    {
        "mp3": ("mp3", "libmp3lame", 96_000),
        "opus": ("ogg", "libopus", 48_000),
        "flac": ("flac", "flac", None),
    }
)
_BLOCK_SAMPLES: Final = 24_000


def encoded(pcm: Iterable[bytes], rate_hz: int, kind: str, comment: str = "") -> Iterator[bytes]:
    """Yield a file of mono 16-bit little-endian PCM in one of the compressed formats.

    `comment`: in its metadata; empty for none.
    """
    container_name, codec, bit_rate = _CODECS[kind]
    file = io.BytesIO()
    with av.open(file, "w", format=container_name) as container:
        if comment:
            container.metadata["comment"] = comment
        stream = cast(AudioStream, container.add_stream(codec, rate=rate_hz, layout="mono"))
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        for block in _blocks(b"".join(pcm)):
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), "s16", "mono")
            frame.sample_rate = rate_hz
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    yield file.getvalue()


def _blocks(pcm: bytes) -> Iterator[NDArray[np.int16]]:
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2")
    for first in range(0, len(samples), _BLOCK_SAMPLES):
        yield samples[first : first + _BLOCK_SAMPLES]
