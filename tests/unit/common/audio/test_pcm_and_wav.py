"""Samples to bytes and back, and WAV headers that other programs read."""

import io
import wave

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from services.common.audio.clip import Clip
from services.common.audio.pcm import from_pcm16, silence, to_pcm16
from services.common.audio.wav import read_wav, wav_header, write_wav


@given(st.binary(max_size=400).map(lambda pcm: pcm[: len(pcm) // 2 * 2]))
def test_bytes_become_samples_and_the_same_bytes_again(pcm: bytes) -> None:
    assert to_pcm16(from_pcm16(pcm)) == pcm


@given(st.lists(st.floats(-4, 4, width=32), max_size=50))
def test_samples_are_rounded_to_the_nearest_step_and_clipped(values: list[float]) -> None:
    samples = np.array(values, dtype=np.float32)
    back = from_pcm16(to_pcm16(samples))
    assert np.all(np.abs(back - np.clip(samples, -1, 32767 / 32768)) <= 0.5 / 32768 + 1e-9)


@given(st.integers(0, 3000), st.sampled_from([8_000, 24_000, 48_000]))
def test_a_clip_survives_its_wav(count: int, rate_hz: int) -> None:
    clip = Clip(from_pcm16(np.arange(count, dtype="<i2").tobytes()), rate_hz)
    read = read_wav(write_wav(clip))
    assert np.array_equal(read.samples, clip.samples)
    assert read.sample_rate_hz == rate_hz


def test_silence_has_the_requested_length() -> None:
    assert len(silence(250, 24_000)) == 6_000
    assert not silence(10, 24_000).any()


PCM = to_pcm16(np.sin(np.arange(24_000) / 20).astype(np.float32) / 2)


@pytest.mark.parametrize("length", [len(PCM), None], ids=["true length", "unknown length"])
def test_other_programs_read_both_headers(length: int | None) -> None:
    file = wav_header(sample_rate_hz=24_000, data_bytes=length) + PCM
    with wave.open(io.BytesIO(file)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (24_000, 1, 2)
        assert reader.readframes(1_000_000) == PCM
    samples, rate_hz = soundfile.read(io.BytesIO(file), dtype="int16")
    assert rate_hz == 24_000
    assert samples.astype("<i2").tobytes() == PCM
    with av.open(io.BytesIO(file), "r") as container:
        decoded = b"".join(frame.to_ndarray().astype("<i2").tobytes() for frame in container.decode(audio=0))
    assert decoded == PCM


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 100, wav_header(sample_rate_hz=8_000, data_bytes=4)[:20]])
def test_what_is_no_wav_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="WAV"):
        read_wav(content)
