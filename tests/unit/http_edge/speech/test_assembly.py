"""The assembly handles every order, repetition and attempt of one request's events."""

from hashlib import sha256

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire.messages import AudioChunk, RequestEvent, SentenceSpoken, SpeechFailed
from services.http_edge.speech.assembly import Assembly, AudioPosition

REQUEST = "request-1"


def chunk_of(sentence: int, index: int, pcm: bytes, attempt: int = 1) -> AudioChunk:
    return AudioChunk(
        request=REQUEST,
        sentence=sentence,
        chunk=index,
        attempt=attempt,
        first_sample=0,
        sample_rate_hz=24_000,
        pcm=pcm,
    )


def end_of(sentence: int, sentences: int, pcm: list[bytes]) -> SentenceSpoken:
    whole = b"".join(pcm)
    return SentenceSpoken(
        request=REQUEST,
        sentence=sentence,
        sentences=sentences,
        attempt=1,
        chunks=len(pcm),
        samples=len(whole) // 2,
        sample_rate_hz=24_000,
        digest=sha256(whole).hexdigest(),
        worker="worker-1",
        queue_ms=0,
        synthesis_ms=0,
    )


def events_of(text: list[list[bytes]]) -> list[RequestEvent]:
    events: list[RequestEvent] = []
    for sentence, chunks in enumerate(text):
        events += [chunk_of(sentence, index, pcm) for index, pcm in enumerate(chunks)]
        events.append(end_of(sentence, len(text), chunks))
    return events


FAILED = SpeechFailed(
    request=REQUEST, sentence=1, code="synthesis_failed", detail="", retryable=True
)
CHUNKS = st.binary(min_size=2, max_size=8).map(lambda pcm: pcm[: len(pcm) // 2 * 2])
TEXTS = st.lists(st.lists(CHUNKS, max_size=4), min_size=1, max_size=5)


@given(TEXTS, st.data())
def test_an_assembly_with_a_first_sentence_plays_only_the_audio_from_it_on(
    text: list[list[bytes]], data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(text)))
    assembly, played = Assembly(first), b""
    for event in data.draw(st.permutations(events_of(text))):
        played += b"".join(assembly.receive(event))
    assert played == b"".join(pcm for chunks in text[first:] for pcm in chunks)
    assert assembly.complete
    assert assembly.sentence == len(text)


@given(TEXTS, st.data())
def test_any_order_with_any_repetition_gives_every_sample_once_in_text_order(
    text: list[list[bytes]], data: st.DataObject
) -> None:
    events = events_of(text)
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=10))
    assembly, played = Assembly(), b""
    for event in data.draw(st.permutations(repeated)):
        played += b"".join(assembly.receive(event))
    assert played == b"".join(pcm for chunks in text for pcm in chunks)
    assert assembly.complete
    assert assembly.samples == len(played) // 2
    assert [end.sentence for end in assembly.spoken] == list(range(len(text)))
    assert assembly.missing() == []


@given(TEXTS, st.data())
def test_fetching_the_missing_positions_completes_the_audio_after_any_loss(
    text: list[list[bytes]], data: st.DataObject
) -> None:
    events = events_of(text)
    stored = {
        AudioPosition(event.sentence, event.chunk if isinstance(event, AudioChunk) else None): event
        for event in events
        if isinstance(event, AudioChunk | SentenceSpoken)
    }
    received = data.draw(st.lists(st.sampled_from(events), unique_by=id))
    assembly, played = Assembly(), b""
    for event in received:
        played += b"".join(assembly.receive(event))
    for _ in range(len(events) + 1):
        for position in assembly.missing():
            if position in stored:
                played += b"".join(assembly.receive(stored[position]))
    assert assembly.complete
    assert played == b"".join(pcm for chunks in text for pcm in chunks)


@given(TEXTS, st.data())
def test_a_gap_holds_back_all_later_audio(text: list[list[bytes]], data: st.DataObject) -> None:
    events = events_of(text)
    lost = data.draw(st.sampled_from(events))
    assembly = Assembly()
    for event in events:
        if event is not lost:
            assembly.receive(event)
    assert not assembly.complete
    before = events[: events.index(lost)]
    assert assembly.samples == sum(
        len(event.pcm) // 2 for event in before if isinstance(event, AudioChunk)
    )


def test_no_audio_is_returned_after_a_failure() -> None:
    assembly = Assembly()
    assert assembly.receive(chunk_of(0, 0, b"ab")) == [b"ab"]
    assembly.receive(FAILED)
    assert assembly.receive(chunk_of(0, 1, b"cd")) == []
    assert assembly.failure == FAILED
    assert not assembly.complete


def test_attempts_with_different_samples_fail_and_never_complete() -> None:
    assembly = Assembly()
    assembly.receive(chunk_of(0, 0, b"ab"))
    assembly.receive(chunk_of(0, 1, b"xx", attempt=2))
    assembly.receive(end_of(0, 1, [b"ab", b"cd"]))
    assert assembly.failure is not None
    assert assembly.failure.code == "inconsistent_audio"
    assert not assembly.complete


def test_early_audio_is_held_up_to_a_limit_and_the_excess_is_missing() -> None:
    assembly = Assembly()
    block = bytes(2 * 1024 * 1024)
    for sentence in range(1, 10):
        assembly.receive(chunk_of(sentence, 0, block))
        assembly.receive(end_of(sentence, 10, [block]))
    assert assembly._held_bytes <= 8 * 1024 * 1024
    played = len(
        b"".join(assembly.receive(chunk_of(0, 0, b"ab")) + assembly.receive(end_of(0, 10, [b"ab"])))
    )
    assert played == 2 + 4 * len(block)
    assert assembly.missing() == [AudioPosition(5, 0)]


def test_before_the_first_event_the_first_chunk_and_end_marker_are_missing() -> None:
    assert Assembly().missing() == [AudioPosition(0, 0), AudioPosition(0, None)]


A, B, C, D = b"aa", b"bb", b"cc", b"dd"


def varying(
    sentence: int, index: int, pcm: bytes, attempt: int, request: str = REQUEST
) -> AudioChunk:
    chunk = chunk_of(sentence, index, pcm, attempt)
    return msgspec.structs.replace(chunk, varies=True, request=request)


def end_by(attempt: int, pcm: list[bytes], request: str = REQUEST) -> SentenceSpoken:
    return msgspec.structs.replace(end_of(0, 1, pcm), attempt=attempt, request=request)


def played(assembly: Assembly, *events: RequestEvent) -> list[bytes]:
    return [pcm for event in events for pcm in assembly.receive(event)]


def test_another_attempt_ends_a_stream_that_has_played_a_part_of_a_varying_sentence() -> None:
    assembly = Assembly()
    assert played(assembly, varying(0, 0, A, 1), varying(0, 0, C, 2), varying(0, 1, D, 2)) == [A]
    assert assembly.failure is not None
    assert (assembly.failure.code, assembly.failure.sentence) == ("inconsistent_audio", 0)


def test_another_attempt_replaces_a_varying_sentence_that_was_not_played() -> None:
    assembly = Assembly()
    events = (varying(0, 1, B, 1), varying(0, 1, D, 2), varying(0, 0, C, 2), end_by(2, [C, D]))
    assert played(assembly, *events) == [C, D]
    assert (assembly.complete, assembly.failure) == (True, None)


def test_late_chunks_of_an_earlier_attempt_are_ignored() -> None:
    assembly = Assembly()
    events = (varying(0, 0, C, 2), varying(0, 1, B, 1), varying(0, 1, D, 2), end_by(2, [C, D]))
    assert played(assembly, *events) == [C, D]


def test_whole_sentences_are_replaced_although_a_part_was_received() -> None:
    assembly = Assembly(whole_sentences=True)
    assert played(assembly, varying(0, 0, A, 1), varying(0, 0, C, 2), varying(0, 1, D, 2)) == []
    assert assembly.receive(end_by(2, [C, D])) == [C, D]
    assert assembly.complete


def test_the_end_marker_selects_between_publications_and_the_rest_is_fetched() -> None:
    assembly = Assembly(whole_sentences=True)
    other = "request-2"
    events = (varying(0, 0, A, 1), varying(0, 0, C, 1, other), end_by(1, [C, D], other))
    assert played(assembly, *events) == []
    assert assembly.missing() == [AudioPosition(0, 0), AudioPosition(0, 1)]
    assert played(assembly, varying(0, 1, D, 1, other), varying(0, 0, C, 1, other)) == [C, D]


def test_a_stored_chunk_of_a_later_attempt_than_the_end_marker_fails_the_sentence() -> None:
    assembly = Assembly(whole_sentences=True)
    assert played(assembly, end_by(1, [A, B]), varying(0, 0, C, 2)) == []
    assert assembly.failure is not None


def test_chunks_that_do_not_vary_continue_inside_a_sentence() -> None:
    assembly = Assembly()
    events = (chunk_of(0, 0, A, 1), chunk_of(0, 1, B, 2), end_by(2, [A, B]))
    assert played(assembly, *events) == [A, B]
    assert assembly.complete


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.integers(0, 3)), max_size=20), st.booleans()
)
def test_no_order_of_attempts_joins_two_of_them(
    order: list[tuple[int, int]], whole_sentences: bool
) -> None:
    assembly = Assembly(whole_sentences=whole_sentences)
    heard = []
    for attempt, index in order:
        pcm = bytes([attempt, index])
        event = (
            end_by(attempt, [bytes([attempt, each]) for each in range(3)])
            if index == 3
            else varying(0, index, pcm, attempt)
        )
        heard += assembly.receive(event)
    assert len({pcm[0] for pcm in heard}) <= 1
    assert [pcm[1] for pcm in heard] == list(range(len(heard)))
    assert not whole_sentences or len(heard) in (0, 3)
