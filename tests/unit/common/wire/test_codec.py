"""Properties of the codec and the seeds."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire import codec
from services.common.wire.failures import MalformedMessage
from services.common.wire.messages import AudioChunk, SpeechRequest
from services.common.wire.seeds import sentence_seed

NAMES = st.text(string.ascii_letters + string.digits + "_-", min_size=8, max_size=64)
COUNTS = st.integers(0, 2**40)
INDICES = st.integers(0, 1_000_000)

REQUESTS = st.builds(
    SpeechRequest,
    request=NAMES,
    tenant=NAMES,
    engine=st.sampled_from(["embedded", "xtts"]),
    language=st.sampled_from(["fr", "zh"]),
    text=st.text(st.characters(codec="utf-8"), min_size=1),
    clips=st.tuples(st.text("0123456789abcdef", min_size=64, max_size=64)),
    seed=st.integers(0, 2**63 - 1),
    split=st.booleans(),
    deadline_unix_ms=COUNTS,
)
CHUNKS = st.builds(
    AudioChunk,
    request=NAMES,
    sentence=INDICES,
    chunk=INDICES,
    attempt=st.integers(1, 100),
    first_sample=COUNTS,
    sample_rate_hz=st.just(24_000),
    pcm=st.binary(max_size=4096),
)


@given(REQUESTS)
def test_a_request_comes_back_as_it_was(request: SpeechRequest) -> None:
    assert codec.decode(codec.encode(request), SpeechRequest) == request


@given(CHUNKS)
def test_a_chunk_comes_back_as_it_was(chunk: AudioChunk) -> None:
    assert codec.decode(codec.encode(chunk), AudioChunk) == chunk


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_request_and_never_crash(payload: bytes) -> None:
    with pytest.raises(MalformedMessage):
        codec.decode(payload, SpeechRequest)
    codec.peek_request(payload)


@given(CHUNKS, st.data())
def test_a_message_cut_anywhere_is_refused(chunk: AudioChunk, data: st.DataObject) -> None:
    payload = codec.encode(chunk)
    with pytest.raises(MalformedMessage):
        codec.decode(payload[: data.draw(st.integers(0, len(payload) - 1))], AudioChunk)


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.integers(0, 10_000), unique=True, min_size=2, max_size=50),
)
def test_every_sentence_has_a_different_seed(seed: int, places: list[int]) -> None:
    seeds = [sentence_seed(seed, place) for place in places]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= value < 2**63 for value in seeds)


def test_a_sentences_seed_is_the_same_everywhere() -> None:
    assert sentence_seed(42, 0) == 2836391206971323648
    assert sentence_seed(42, 1) == 7845810475459835116
