"""Sixteen bits keep what sixteen bits can."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.common.audio.pcm import from_pcm16, silence, to_pcm16

sounds = arrays.arrays(np.float32, st.integers(0, 500), elements=st.floats(-1, 1, width=32))


@given(st.binary(max_size=1000).filter(lambda pcm: len(pcm) % 2 == 0))
def test_bytes_come_back_as_they_were(pcm: bytes) -> None:
    assert to_pcm16(from_pcm16(pcm)) == pcm


@given(sounds)
def test_samples_come_back_within_one_step_of_sixteen_bits(samples: np.ndarray) -> None:
    back = from_pcm16(to_pcm16(samples))
    assert back.dtype == np.float32
    assert np.all(np.abs(back - samples) <= 1 / 32768)


def test_what_is_over_full_scale_is_clipped_and_never_wraps_around() -> None:
    assert from_pcm16(to_pcm16(np.array([1.0, 1.5, -1.0, -9.0], dtype=np.float32))).tolist() == [
        32767 / 32768,
        32767 / 32768,
        -1.0,
        -1.0,
    ]


def test_pcm_is_little_endian() -> None:
    assert to_pcm16(np.array([1 / 32768, -1 / 32768], dtype=np.float32)) == b"\x01\x00\xff\xff"


def test_silence_is_as_long_as_asked() -> None:
    quiet = silence(250, 24_000)
    assert (len(quiet), quiet.dtype, np.any(quiet)) == (6_000, np.float32, np.False_)
