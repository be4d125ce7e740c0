"""An uploaded file to samples, in a process of its own: what crashes or swells there harms nobody here.

`python -m ui.audio.reading` reads a file on stdin and writes mono 16-bit PCM at 16 kHz to stdout.
"""

import io
import resource
import subprocess
import sys
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from ui.refusals import BadAudio

RATE_HZ: Final = 16_000
_LONGEST_S: Final = 120  # more is neither measured nor drawn; the service takes 30 s of it
_PATIENCE_S: Final = 20.0
_MEMORY_BYTES: Final = 2 * 1024**3

Samples = NDArray[np.float32]  # mono, -1 to 1


def read_audio(content: bytes) -> Samples:
    """Return the first two minutes of any audio file at 16 kHz. Raises BadAudio."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "ui.audio.reading"],
            input=content,
            capture_output=True,
            timeout=_PATIENCE_S,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise BadAudio from None
    if not child.stdout:
        raise BadAudio
    return np.frombuffer(child.stdout, dtype="<i2").astype(np.float32) / np.float32(32768)


def _decode(content: bytes) -> bytes:
    """Return PCM. Raises av.FFmpegError, IndexError where there is no audio stream."""
    pcm = bytearray()
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    with av.open(io.BytesIO(content), mode="r") as container:
        for frame in container.decode(container.streams.audio[0]):
            for part in resampler.resample(frame):
                pcm += part.to_ndarray().tobytes()
            if len(pcm) >= 2 * RATE_HZ * _LONGEST_S:
                break
    return bytes(pcm[: 2 * RATE_HZ * _LONGEST_S])


def main() -> None:
    """Decode stdin to stdout; status 1 where that is no audio."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (int(_PATIENCE_S), int(_PATIENCE_S)))
    try:
        sys.stdout.buffer.write(_decode(sys.stdin.buffer.read()))
    except (av.FFmpegError, IndexError, ValueError, MemoryError):
        sys.exit(1)


if __name__ == "__main__":
    main()
