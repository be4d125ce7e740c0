"""Bodies of every output format, decoded again, and encoded by the program ffmpeg for comparison."""

import asyncio
import io
import shutil
from collections.abc import Mapping, Sequence
from typing import Final

import av
import numpy as np

FFMPEG: Final = shutil.which("ffmpeg")
# the demuxers of bodies without a header
RAW: Final[Mapping[str, str]] = {"pcm": "s16le", "mulaw": "mulaw", "alaw": "alaw"}
# samples per frame at 24 kHz (MPEG-2 for mp3); of opus at 48 kHz, at which it is always decoded
FRAME_SAMPLES: Final[Mapping[str, int]] = {"mp3": 576, "opus": 960, "aac": 1024}
# samples before the audio that a decoder of a stream cannot know to drop
DELAY_SAMPLES: Final[Mapping[str, int]] = {"mp3": 1105, "aac": 1024}
OPTIONS: Final[Mapping[str, Sequence[str]]] = {
    "wav": ("-f", "wav"),
    "mp3": ("-f", "mp3", "-b:a", "96k", "-write_xing", "0", "-id3v2_version", "0"),
    "opus": ("-f", "ogg", "-c:a", "libopus", "-b:a", "48k"),
    "aac": ("-f", "adts", "-c:a", "aac", "-b:a", "96k"),
    "flac": ("-f", "flac"),
    "pcm": ("-f", "s16le"),
    "mulaw": ("-f", "mulaw", "-ar", "8000"),
    "alaw": ("-f", "alaw", "-ar", "8000"),
}


def decoded(name: str, body: bytes, rate_hz: int) -> tuple[np.ndarray, int]:
    """Return the samples of a body, int16 [n], as FFmpeg decodes it, and their rate in Hz.

    `rate_hz`: of a body without a header.
    """
    raw = RAW.get(name)
    options = {"sample_rate": str(rate_hz)} if raw else {}
    with av.open(io.BytesIO(body), format=raw, options=options) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    if samples.dtype.kind == "f":
        samples = (samples * 32767).astype(np.int16)
    return samples, frames[0].sample_rate


async def by_ffmpeg(name: str, wav: bytes) -> bytes:
    """Return a WAV encoded by the program ffmpeg, with the codec's settings of the service."""
    assert FFMPEG is not None
    process = await asyncio.create_subprocess_exec(
        *(FFMPEG, "-loglevel", "error", "-f", "wav", "-i", "pipe:0", *OPTIONS[name], "pipe:1"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    body, _ = await process.communicate(wav)
    assert process.returncode == 0
    return body
