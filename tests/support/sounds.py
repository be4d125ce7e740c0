"""Audio to upload: real speech cut to any length, noises, and files of every kind, made by the real encoders."""

from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Final

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from services.common.audio.clip import Samples

AUSTEN: Final = Path(__file__).parents[2] / "examples" / "voices" / "austen.flac"
Frames = NDArray[np.float32] | NDArray[np.int16]  # [n, channels]


@cache
def _speech(rate_hz: int) -> Samples:
    samples, own_rate_hz = soundfile.read(AUSTEN, dtype="float32")
    resampled: Samples = soxr.resample(samples, own_rate_hz, rate_hz)
    resampled *= 0.7 / np.abs(resampled).max()
    resampled.setflags(write=False)
    return resampled


def speech(seconds: float, rate_hz: int = 24_000) -> Samples:
    """Return so many seconds of read speech, repeated where it is longer than the bundled clip."""
    begun = _speech(rate_hz)[rate_hz // 5 :]  # it starts with a breath of silence
    return np.resize(begun, round(seconds * rate_hz))


def silence(seconds: float, rate_hz: int = 24_000) -> Samples:
    return np.zeros(round(seconds * rate_hz), dtype=np.float32)


def tone(seconds: float, pitch_hz: float = 440.0, rate_hz: int = 24_000) -> Samples:
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * pitch_hz * times)).astype(np.float32)


def noise(seconds: float, *, tilt: float = 0.0, seed: int = 1, rate_hz: int = 24_000) -> Samples:
    """Return noise whose power falls with frequency to the power of the tilt: 0 white, 1 pink, 2 brown."""
    count = round(seconds * rate_hz)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
    bins = np.maximum(np.arange(len(spectrum)), 20 * seconds)
    shaped = np.fft.irfft(spectrum * bins ** (-tilt / 2), count)
    return (0.1 * shaped / shaped.std()).astype(np.float32)


def noisy(sound: Samples, snr_db: float, *, tilt: float = 0.0) -> Samples:
    """Return the audio under noise that is so much weaker than it, at a peak under full scale."""
    hiss = noise(len(sound) / 24_000, tilt=tilt)[: len(sound)]
    mixed = sound + hiss * np.sqrt(np.mean(sound**2) / np.mean(hiss**2) * 10 ** (-snr_db / 10))
    return (0.7 * mixed / np.abs(mixed).max()).astype(np.float32)


def write(
    path: Path, sound: Samples | Frames, rate_hz: int, kind: str, subtype: str | None = None
) -> Path:
    """Write a file by libsndfile, under a name without a hint at its format."""
    soundfile.write(path, sound, rate_hz, format=kind, subtype=subtype)
    return path


def encode(
    path: Path,
    sound: Samples | Frames,
    rate_hz: int,
    container: str,
    codec: str,
    *,
    title: str = "",
    container_options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> Path:
    """Write a file by FFmpeg: "webm" of "libopus", "ipod" (M4A) of "aac" and so on."""
    frames = sound if sound.ndim == 2 else sound[:, None]
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[frames.shape[1]]
    with (
        path.open("wb") as file,
        av.open(file, "w", format=container, options=container_options) as output,
    ):
        output.metadata.update({"title": title} if title else {})
        stream = output.add_stream(codec, rate=rate_hz, layout=layout, options=codec_options)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(frames.T), format="fltp", layout=layout
        )
        frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
        resampler = av.AudioResampler(stream.format, layout, rate_hz, frame_size=stream.frame_size)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return path


def silent_film(path: Path) -> Path:
    """Write an MP4 with a picture and without audio."""
    with path.open("wb") as file, av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in range(50):
            picture = np.full((48, 64, 3), shade, dtype=np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def mains_hum(
    seconds: float, *, mains_hz: float = 50.0, harmonics: int = 1, rate_hz: int = 24_000
) -> Samples:
    """Return the hum of the mains at a peak of about 0.3."""
    lines = [
        tone(seconds, mains_hz * number, rate_hz) / number for number in range(1, harmonics + 1)
    ]
    return np.sum(lines, axis=0, dtype=np.float32)


def chords(
    seconds: float, *, notes: tuple[int, ...] = (0, 4, 7), each_s: float = 0.5, seed: int = 1
) -> Samples:
    """Return chords of sines, each of so many semitones over a root that is drawn."""
    roots = 220 * 2 ** (np.random.default_rng(seed).integers(0, 12, round(seconds / each_s)) / 12)
    played = [
        sum((tone(each_s, root * 2 ** (note / 12)) for note in notes), start=silence(each_s))
        for root in roots
    ]
    fade = np.minimum(
        1,
        100 * np.minimum(*(np.arange(round(each_s * 24_000))[::step] / 24_000 for step in (1, -1))),
    )
    return np.concatenate([chord * fade / len(notes) for chord in played]).astype(np.float32)


def encode_tracks(
    path: Path, tracks: list[Samples], rate_hz: int, container: str, codec: str
) -> Path:
    """Write a file with several audio tracks, as recording programs do for each source."""
    with path.open("wb") as file, av.open(file, "w", format=container) as output:
        streams = [output.add_stream(codec, rate=rate_hz, layout="mono") for _ in tracks]
        for stream, sound in zip(streams, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
            resampler = av.AudioResampler(
                stream.format, "mono", rate_hz, frame_size=stream.frame_size
            )
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                output.mux(stream.encode(part))
            output.mux(stream.encode(None))
    return path
