"""Decodes an uploaded file in a separate process.

`python -m ui.audio.reading` reads a file on stdin and writes mono 16-bit PCM at 16 kHz to stdout.
"""

import io
import sys
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from ui.child_process import ChildFailed, confine, run_child
from ui.errors import BadAudio

RATE_HZ: Final = 16_000
LONGEST_S: Final = 120  # more is neither measured nor drawn; the service listens to 30 s of it
# Containers that hold only audio, or a picture with it, as in the service. A playlist would make the
# decoder open what it names: files of this machine, and addresses that only this machine reaches.
_CONTAINERS: Final = (
    "matroska,webm,mov,mp4,m4a,3gp,ogg,mp3,aac,flac,wav,w64,aiff,caf,amr,asf,ac3,eac3,wv,ape,tta,au"
)
_OPTIONS: Final = {
    "format_whitelist": _CONTAINERS,
    "protocol_whitelist": "none",
}  # what is opened is in memory

Samples = NDArray[np.float32]  # mono, -1 to 1


def read_audio(content: bytes) -> Samples:
    """Return the first two minutes of any audio file at 16 kHz. Raises BadAudio."""
    try:
        pcm = run_child("ui.audio.reading", given=content)
    except ChildFailed:
        raise BadAudio from None
    if not pcm:
        raise BadAudio
    return samples_of(pcm)


def samples_of(pcm: bytes) -> Samples:
    """Return mono 16-bit little-endian PCM as samples."""
    return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768)


def _decode(content: bytes) -> bytes:
    """Return PCM. Raises av.FFmpegError, IndexError where there is no audio stream."""
    pcm = bytearray()
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(io.BytesIO(content), mode="r", options=_OPTIONS) as container:
        for frame in container.decode(container.streams.audio[0]):
            for part in resampler.resample(frame):
                pcm += part.to_ndarray().tobytes()
            if len(pcm) >= 2 * RATE_HZ * LONGEST_S:
                break
    return bytes(pcm[: 2 * RATE_HZ * LONGEST_S])


def main() -> None:
    """Decode stdin to stdout; status 1 where that is no audio."""
    confine()
    try:
        sys.stdout.buffer.write(_decode(sys.stdin.buffer.read()))
    except (av.FFmpegError, IndexError, ValueError, MemoryError):
        sys.exit(1)


if __name__ == "__main__":
    main()
