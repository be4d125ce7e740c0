"""Audio over NATS is put in order, whatever order it arrives in."""

import random
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire.codec import decode
from services.common.wire.messages import SpeechRequest
from voice_cloning_client import IncompleteAudio, InvalidInput, NotFound, Overloaded
from voice_cloning_client.bus.assembly import Assembly
from voice_cloning_client.bus.messages import (
    BusRequest,
    decoded,
    described,
    failure,
    running_engine,
    split_options,
)

Event = dict[str, Any]


def events_of(sentences: list[list[bytes]]) -> list[Event]:
    events: list[Event] = []
    for index, chunks in enumerate(sentences):
        place = {"sentence": index, "sample_rate_hz": 24_000}
        events += [
            {"type": "AudioChunk", "chunk": number, "pcm": pcm, **place}
            for number, pcm in enumerate(chunks)
        ]
        events.append(
            {
                "type": "SentenceSpoken",
                "sentences": len(sentences),
                "chunks": len(chunks),
                "digest": sha256(b"".join(chunks)).hexdigest(),
                **place,
            }
        )
    return events


@given(
    st.lists(st.lists(st.binary(min_size=1, max_size=4), max_size=4), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_any_order_and_repetition_gives_the_same_audio(
    sentences: list[list[bytes]], chance: random.Random
) -> None:
    events = events_of(sentences) * 2
    chance.shuffle(events)
    assembly = Assembly()
    received = b""

    for event in events:
        assembly.add(event)
        received += b"".join(assembly.ready())

    assert assembly.complete
    assert received == b"".join(b"".join(chunks) for chunks in sentences)


def test_what_is_missing_is_named() -> None:
    assembly = Assembly()
    first, second, end = events_of([[b"a", b"b"]])
    assert assembly.missing() == ["0.0", "0.end"]
    assembly.add(second)
    assembly.add(end)
    assert list(assembly.ready()) == []
    assert assembly.missing() == ["0.0"]
    assert assembly.has_end
    assembly.add(first)
    assert list(assembly.ready()) == [b"a", b"b"]
    assert assembly.complete


def test_samples_that_differ_from_their_digest_are_not_complete_audio() -> None:
    assembly = Assembly()
    first, end = events_of([[b"a"]])
    assembly.add({**first, "pcm": b"x"})
    assembly.add(end)
    with pytest.raises(IncompleteAudio, match="sentence 0"):
        list(assembly.ready())


def test_requests_are_what_the_contract_reads() -> None:
    parameters, fields = split_options(
        {"speed": 1.5, "enable_text_splitting": False, "pronunciations": {"SQL": "sequel"}}
    )
    request = BusRequest(
        request="0123456789abcdef",
        tenant="public",
        engine="tone",
        language="en",
        text="Hello.",
        seed=7,
        deadline_unix_ms=1,
        voice="Anna",
        parameters=parameters,
        options=fields,
    )
    read = decode(request.encoded(), SpeechRequest)
    assert (read.text, read.seed, read.voice, read.split) == ("Hello.", 7, "Anna", False)
    assert read.parameters.speed == 1.5
    assert read.pronunciations == {"SQL": "sequel"}
    assert "Hello" not in repr(request)

    again = request.continued("fedcba9876543210", 3, {"voice": "v_1@2", "parameters": {"speed": 2}})
    assert (again.request, again.first_sentence, again.voice) == ("fedcba9876543210", 3, "v_1@2")
    assert again.seed == request.seed


def test_failures_have_the_types_of_http() -> None:
    assert isinstance(failure({"code": "unknown_voice", "detail": "d"}), NotFound)
    assert isinstance(failure({"code": "queue_full", "retryable": True}), Overloaded)
    refused = described("tenant_queue_full: wait", 429)
    assert (refused.code, refused.detail, refused.status) == ("tenant_queue_full", "wait", 429)
    assert refused.retryable
    assert decoded(b"\xc1") == {}
    assert decoded(b"\x01") == {}


def test_several_engines_must_be_chosen_from() -> None:
    assert running_engine(["tone", "tone"]) == "tone"
    with pytest.raises(InvalidInput, match="embedded, xtts"):
        running_engine(["xtts", "embedded"])


def test_a_continued_dialogue_keeps_the_voices_of_its_first_sentences() -> None:
    _, fields = split_options({"text_type": "dialogue", "voices": {"Anna": "Heart"}})
    request = BusRequest(
        request="0123456789abcdef",
        tenant="public",
        engine="tone",
        language="en",
        text="Anna: Hello.",
        seed=7,
        deadline_unix_ms=1,
        options=fields,
    )
    read = decode(request.encoded(), SpeechRequest)
    assert [(each.name, each.voice) for each in read.voices or ()] == [("Anna", "Heart")]
    split = {"voices": [{"name": "Anna", "voice": "builtin:Heart", "parameters": {"speed": 2.0}}]}
    again = decode(request.continued("fedcba9876543210", 1, split).encoded(), SpeechRequest)
    assert [(each.name, each.voice) for each in again.voices or ()] == [("Anna", "builtin:Heart")]
