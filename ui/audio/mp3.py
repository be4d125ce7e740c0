"""PCM to MP3, as it comes."""

from collections.abc import Iterable, Iterator
from typing import Final

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

_BIT_RATE: Final = 96_000


def encoded(pcm: Iterable[bytes], rate_hz: int) -> Iterator[bytes]:
    """Yield MP3 frames of mono 16-bit little-endian PCM."""
    codec = AudioCodecContext.create("libmp3lame", "w")
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = (
        rate_hz,
        "mono",
        "s16p",
        _BIT_RATE,
    )
    rest = b""
    for chunk in pcm:
        chunk, rest = _even(rest + chunk)  # noqa: PLW2901  # the odd byte goes with the next chunk
        if chunk:
            frame = av.AudioFrame.from_ndarray(
                np.frombuffer(chunk, dtype="<i2").reshape(1, -1), "s16p", "mono"
            )
            frame.sample_rate = rate_hz
            yield from map(bytes, codec.encode(frame))
    yield from map(bytes, codec.encode(None))


def _even(content: bytes) -> tuple[bytes, bytes]:
    whole = len(content) // 2 * 2
    return content[:whole], content[whole:]
