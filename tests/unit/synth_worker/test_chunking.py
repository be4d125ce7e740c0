"""Chunks are a sentence's samples: complete, none too large, with correct indices and counts."""

from hashlib import sha256

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.common.audio.pcm import to_pcm16
from services.synth_worker.chunking import Chunking

RATE = 1_000
LENGTHS = st.lists(st.integers(0, 3_500), max_size=6)


@given(LENGTHS, st.integers(0, 700))
def test_the_chunks_of_a_sentence_are_its_samples_in_order(
    lengths: list[int], pause_ms: int
) -> None:
    parts = [
        np.random.default_rng(index).uniform(-1, 1, count).astype(np.float32)
        for index, count in enumerate(lengths)
    ]
    chunking = Chunking(RATE)
    chunks = [chunk for samples in parts for chunk in chunking.add(samples)] + chunking.pause(
        pause_ms
    )
    pcm = b"".join(chunk.pcm for chunk in chunks)
    assert pcm == b"".join(to_pcm16(samples) for samples in parts) + bytes(2 * pause_ms)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.first_sample for chunk in chunks] == [
        sum(len(before.pcm) // 2 for before in chunks[:index]) for index in range(len(chunks))
    ]
    assert all(0 < len(chunk.pcm) <= 2 * RATE for chunk in chunks)
    assert (chunking.chunks, chunking.samples) == (len(chunks), len(pcm) // 2)
    assert chunking.digest == sha256(pcm).hexdigest()
