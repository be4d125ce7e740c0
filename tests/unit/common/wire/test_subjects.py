"""Subjects are read back as what they name, and no string whatever makes reading them fail."""

import string
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire import subjects
from services.common.wire.addressing import (
    is_cancel_of,
    is_event_of,
    is_forget_of,
    is_heartbeat_of,
    require_addressed,
    require_own,
)
from services.common.wire.failures import MalformedMessage
from services.common.wire.identity import Identity
from services.common.wire.messages import (
    AudioChunk,
    CancelSpeech,
    RequestEvent,
    SentenceJob,
    SentenceSpoken,
    SpeechFailed,
    SpeechRequest,
    TextSplit,
)
from services.common.wire.parts import Span
from services.common.wire.subjects import (
    CancelSubject,
    ChunkSubject,
    DeadSubject,
    EndSubject,
    FailedSubject,
    JobSubject,
    NormalizeSubject,
    RequestSubject,
    SentenceSubject,
    SplitSubject,
    SplitterSubject,
    WorkerSubject,
    parse,
    parse_as,
)
from services.common.wire.voices import VoiceForgotten
from tests.support.messages import EXAMPLES, REQUEST

TOKENS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)
REQUESTS = st.text(string.ascii_letters + string.digits + "_-", min_size=8, max_size=64)
ENGINES = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=32)
INDICES = st.integers(0, 1_000_000)

BUILT: dict[Any, tuple[Callable[..., str], st.SearchStrategy[tuple[Any, ...]]]] = {
    RequestSubject: (subjects.request, st.tuples(TOKENS)),
    JobSubject: (subjects.job, st.tuples(TOKENS)),
    NormalizeSubject: (subjects.normalize, st.tuples(TOKENS)),
    SentenceSubject: (
        subjects.sentence,
        st.tuples(ENGINES, st.sampled_from(["express", "standard"]), TOKENS, REQUESTS, INDICES),
    ),
    ChunkSubject: (subjects.chunk, st.tuples(TOKENS, REQUESTS, INDICES, INDICES)),
    EndSubject: (subjects.end, st.tuples(TOKENS, REQUESTS, INDICES)),
    SplitSubject: (subjects.text_split, st.tuples(TOKENS, REQUESTS)),
    FailedSubject: (subjects.request_failed, st.tuples(TOKENS, REQUESTS)),
    CancelSubject: (subjects.cancel, st.tuples(TOKENS, REQUESTS)),
    WorkerSubject: (subjects.worker_state, st.tuples(ENGINES, TOKENS)),
    SplitterSubject: (subjects.splitter_state, st.tuples(TOKENS)),
    DeadSubject: (subjects.dead, st.tuples(st.just("tts.v1.request.acme"))),
}


def example(kind: type) -> object:
    """Return the example of a kind of message."""
    [found] = [message for message in EXAMPLES if type(message) is kind]
    return found


@pytest.mark.parametrize("kind", BUILT, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_subject_is_read_back_as_what_it_was_built_of(kind: Any, data: st.DataObject) -> None:
    build, parts = BUILT[kind]
    given_parts = data.draw(parts)
    subject = build(*given_parts)
    assert parse(subject) == kind(*given_parts)
    assert type(parse(subject)) is kind
    assert parse_as(subject, kind) == kind(*given_parts)


HOSTILE = st.one_of(
    st.text(),
    st.lists(
        st.one_of(
            st.text(max_size=8),
            st.sampled_from(["tts", "v1", "audio", "end", "*", ">", "", "9" * 400]),
        )
    )
    .map(".".join)
    .map("tts.v1.".__add__),
    st.sampled_from(
        [
            "tts.v1.sentence.tone.standard.globex.aaaaaaaa.notanumber",
            "tts.v1.sentence.tone.standard.globex.aaaaaaaa.-1",
            "tts.v1.sentence.tone.standard.globex.aaaaaaaa.٣",
            "tts.v1.sentence.tone.standard.globex.aaaaaaaa.9999999",
            "tts.v1.sentence.tone.other.globex.aaaaaaaa.0",
            "tts.v1.audio.acme.aaaaaaaa.0.00",
            "tts.v1.audio.acme.aaaaaaaa.0.end\n",
            "tts.v1.cancel.acme.short",
            "tts.v1.cancel.acme.aaaaaaaa.more",
            "tts.v1.request.",
            "tts.v1.request.a.b",
            "tts.v1.dead.",
        ]
    ),
)


@given(HOSTILE)
def test_any_string_is_read_without_a_failure(subject: str) -> None:
    parsed = parse(subject)
    if not isinstance(parsed, DeadSubject):
        assert parsed is None or subject.rsplit(".", maxsplit=1)[-1] in map(
            str, [*parsed, "end", "split", "failed"]
        )
    for kind in BUILT:
        assert parse_as(subject, kind) in (parsed, None)


@pytest.mark.parametrize(
    "subject",
    [
        "tts.v1.sentence.tone.standard.globex.aaaaaaaa.notanumber",
        "tts.v1.sentence.tone.standard.globex.aaaaaaaa.1000001",
        "tts.v1.audio.acme.aaaaaaaa.0.00",
        "tts.v1.audio.acme.aaaaaaaa.0.end\n",
        "tts.v1.audio.acme.aaaaaaaa.٣.end",
        "tts.v1.cancel.acme.short",
    ],
)
def test_what_is_no_subject_of_the_contract_names_nothing(subject: str) -> None:
    assert parse(subject) is None


EVENTS: list[tuple[RequestEvent, str]] = [
    (
        AudioChunk(
            request=REQUEST,
            sentence=1,
            chunk=2,
            attempt=1,
            first_sample=0,
            sample_rate_hz=24_000,
            pcm=b"\0\0",
        ),
        subjects.chunk("acme", REQUEST, 1, 2),
    ),
    (
        SentenceSpoken(
            request=REQUEST,
            sentence=1,
            sentences=3,
            attempt=1,
            chunks=3,
            samples=3,
            sample_rate_hz=24_000,
            digest="0" * 64,
            worker="worker",
            queue_ms=0,
            synthesis_ms=0,
        ),
        subjects.end("acme", REQUEST, 1),
    ),
    (
        TextSplit(request=REQUEST, sentences=(Span(0, 1),), dropped=()),
        subjects.text_split("acme", REQUEST),
    ),
    (
        SpeechFailed(request=REQUEST, sentence=None, code="internal", detail="", retryable=False),
        subjects.request_failed("acme", REQUEST),
    ),
    (
        SpeechFailed(request=REQUEST, sentence=1, code="internal", detail="", retryable=False),
        subjects.end("acme", REQUEST, 1),
    ),
]


@pytest.mark.parametrize(
    "event", [event for event, _ in EVENTS], ids=lambda event: type(event).__name__
)
def test_an_event_belongs_on_its_own_subject_alone(event: RequestEvent) -> None:
    own = [subject for other, subject in EVENTS if other is event]
    others = {subject for _, subject in EVENTS} - set(own)
    others |= {
        own[0].replace(REQUEST, "another-request"),
        own[0].replace(".1", ".2"),
        subjects.request("acme"),
        subjects.cancel("acme", REQUEST),
    } - set(own)
    assert all(is_event_of(event, parse(subject)) for subject in own)
    assert not any(is_event_of(event, parse(subject)) for subject in others)


def test_a_cancel_in_the_name_of_another_tenant_or_request_is_none() -> None:
    message = CancelSpeech(request=REQUEST, tenant="acme", reason="")
    assert is_cancel_of(message, CancelSubject("acme", REQUEST))
    assert not is_cancel_of(message, CancelSubject("globex", REQUEST))
    assert not is_cancel_of(message, CancelSubject("acme", "another-request"))


def test_a_forget_in_the_name_of_another_tenant_is_none() -> None:
    message = VoiceForgotten(tenant="acme")
    assert is_forget_of(message, subjects.forget("acme"))
    for subject in (subjects.forget("globex"), subjects.request("acme"), "acme"):
        assert not is_forget_of(message, subject)


@pytest.mark.parametrize(
    "subject", [subjects.request("globex"), subjects.job("globex"), "tts.v1.request", "acme"]
)
def test_a_request_on_the_subject_of_another_tenant_is_refused(subject: str) -> None:
    request = example(SpeechRequest)
    assert isinstance(request, SpeechRequest)
    require_own(request, subjects.request(request.tenant))
    with pytest.raises(MalformedMessage, match="tenant differs"):
        require_own(request, subject)


@pytest.mark.parametrize("index", range(5))
def test_a_sentence_on_the_subject_of_another_is_refused(index: int) -> None:
    job = example(SentenceJob)
    assert isinstance(job, SentenceJob)
    own = ["tts.v1.sentence", job.engine, "standard", job.tenant, job.request, str(job.sentence)]
    assert require_addressed(job, ".".join(own)).lane == "standard"
    other = list(own)
    other[index + 1] = ["other", "neither", "other", "another-request", "7"][index]
    with pytest.raises(MalformedMessage):
        require_addressed(job, ".".join(other))


def test_a_heartbeat_of_another_process_is_ignored() -> None:
    states = [
        message
        for message in EXAMPLES
        if type(message).__name__ in ("WorkerState", "SplitterState")
    ]
    own = [
        subjects.worker_state("embedded", "worker-1a2b3c4d"),
        subjects.splitter_state("splitter-1a2b3c4d"),
    ]
    heard = [
        [is_heartbeat_of(state, subject) for subject in [*own, "tts.v1.splitter.x"]]
        for state in states
    ]  # type: ignore[arg-type]
    assert sorted(heard) == [[False, True, False], [True, False, False]]


@given(TOKENS, REQUESTS, TOKENS, REQUESTS, st.sampled_from(["request", "job"]))
def test_names_of_different_tenants_or_ids_never_meet(
    tenant: str, request: str, other_tenant: str, other_request: str, kind: str
) -> None:
    one, other = Identity(tenant, kind, request), Identity(other_tenant, kind, other_request)  # type: ignore[arg-type]
    names = [(of.message_id("end"), of.key("runs"), of.object_name(0)) for of in (one, other)]
    assert all((a == b) == (one == other) for a, b in zip(*names, strict=True))
