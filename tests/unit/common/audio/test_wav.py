"""A WAV file that every reader takes, also one whose header came before its length was known."""

import io
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from services.common.audio.clip import Clip, Samples
from services.common.audio.pcm import from_pcm16, to_pcm16
from services.common.audio.wav import read_wav, wav_header, write_wav
from tests.support import sounds


def by_wave(content: bytes) -> tuple[Samples, int]:
    with wave.open(io.BytesIO(content)) as file:
        return from_pcm16(file.readframes(file.getnframes())), file.getframerate()


def by_soundfile(content: bytes) -> tuple[Samples, int]:
    return soundfile.read(io.BytesIO(content), dtype="float32")


def by_ffmpeg(content: bytes) -> tuple[Samples, int]:
    with av.open(io.BytesIO(content)) as file:
        frames = list(file.decode(audio=0))
        pcm = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        return from_pcm16(pcm.tobytes()), frames[0].sample_rate


Reader = Callable[[bytes], tuple[Samples, int]]
readers = pytest.mark.parametrize("read", [by_wave, by_soundfile, by_ffmpeg])


@readers
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("rate_hz", [16_000, 24_000])
def test_readers_take_every_sample_of_a_file_or_a_saved_stream(
    read: Reader, known: bool, rate_hz: int
) -> None:
    pcm = to_pcm16(sounds.speech(1.7, rate_hz))
    header = wav_header(sample_rate_hz=rate_hz, data_bytes=len(pcm) if known else None)
    samples, rate_read_hz = read(header + pcm)
    assert rate_read_hz == rate_hz
    assert to_pcm16(samples) == pcm


def test_a_header_has_true_lengths() -> None:
    header = wav_header(sample_rate_hz=24_000, data_bytes=1_000)
    assert len(header) == 44
    assert int.from_bytes(header[4:8], "little") == 1_000 + 36
    assert int.from_bytes(header[40:44], "little") == 1_000


@given(
    st.binary(max_size=2_000).filter(lambda pcm: len(pcm) % 2 == 0),
    st.sampled_from([8_000, 24_000, 48_000]),
)
def test_a_stored_clip_comes_back_as_it_was(pcm: bytes, rate_hz: int) -> None:
    clip = read_wav(write_wav(Clip(from_pcm16(pcm), rate_hz)))
    assert (to_pcm16(clip.samples), clip.sample_rate_hz) == (pcm, rate_hz)


def test_only_a_mono_file_of_sixteen_bits_is_a_stored_clip(tmp_path: Path) -> None:
    stereo = sounds.write(tmp_path / "stereo", np.zeros((100, 2), dtype=np.float32), 24_000, "WAV")
    deep = sounds.write(tmp_path / "deep", sounds.silence(1), 24_000, "WAV", "PCM_24")
    for content in (stereo.read_bytes(), deep.read_bytes(), b"", b"RIFF", b"no sound at all" * 10):
        with pytest.raises(ValueError, match="WAV"):
            read_wav(content)
