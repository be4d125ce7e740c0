"""The whole pipeline behind the edge's speech, sample by sample, on the real bus and on its twin."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.common.bus import topology
from services.common.bus.heartbeats import publish_heartbeats
from services.common.bus.inbox import open_inbox
from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import every, tasks
from services.common.wire import codec, subjects
from services.common.wire.failures import PipelineError
from services.common.wire.messages import (
    AudioChunk,
    RequestEvent,
    SentenceSpoken,
    SpeechFailed,
    TextSplit,
    WorkerState,
)
from services.common.wire.options import Parameters
from services.http_edge.metrics import Metrics
from services.http_edge.speech.session import SpeechSessions
from services.splitter import app as splitter_app
from services.splitter.segmentation.sentences import split
from services.splitter.settings import Settings
from services.synth_worker.engines.tone import SAMPLE_RATE_HZ, SAMPLES_PER_CHARACTER
from tests.support.buses import bus_of
from tests.support.service import (
    MAX_CHARACTERS,
    TEXT,
    digest,
    expected_pcm,
    sentence_count,
    speech_request,
    stored_clip,
    tone_service,
)


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus:
        yield bus


def speaker(bus: Bus) -> SpeechSessions:
    return SpeechSessions(bus, Metrics(), first_audio_timeout_s=20)


async def until_empty(bus: Bus) -> None:
    """Wait until neither work queue holds a message."""
    async with asyncio.timeout(60):
        while await bus.message_count(topology.REQUESTS) + await bus.message_count(
            topology.SENTENCES
        ):
            await asyncio.sleep(0.05)


async def test_a_request_from_a_sentence_on_is_spoken_with_the_seeds_and_indexes_of_the_whole(
    bus: Bus,
) -> None:
    async with tone_service(bus):
        clip = await stored_clip(bus)
        request = msgspec.structs.replace(speech_request(clip), first_sentence=2)
        listener = await bus.subscribe(
            subjects.request_events("public", request.request), limit=1000
        )
        await bus.publish(
            subjects.request("public"), codec.encode(request), message_id=request.request
        )
        ends: dict[int, SentenceSpoken] = {}
        async with asyncio.timeout(60):
            while len(ends) < sentence_count() - 2:
                heard = await listener.next(1)
                event = heard and codec.decode(heard.payload, RequestEvent)  # type: ignore[arg-type]
                if isinstance(event, SentenceSpoken):
                    ends[event.sentence] = event
        await until_empty(bus)
        await listener.close()
    whole = split(TEXT, "en", max_characters=MAX_CHARACTERS).sentences
    assert sorted(ends) == list(range(2, len(whole)))
    sound, places = expected_pcm(), []
    for sentence in whole:
        samples = (
            len(sentence.spoken) * SAMPLES_PER_CHARACTER
            + sentence.pause_after_ms * SAMPLE_RATE_HZ // 1000
        )
        places.append(sound[: 2 * samples])
        sound = sound[2 * samples :]
    assert {place: end.digest for place, end in ends.items()} == {
        place: digest([places[place]]) for place in range(2, len(whole))
    }


async def test_a_text_is_received_whole_once_and_in_order(bus: Bus) -> None:
    clip = await stored_clip(bus)
    async with tone_service(bus, workers=2):
        async with speaker(bus).speaking(speech_request(clip)) as speech:
            pieces = [piece async for piece in speech.chunks()]
        assert digest(pieces) == digest([expected_pcm()])
        assert len(speech.spoken) == sentence_count() > 3
        await until_empty(bus)


async def test_the_sentences_of_one_request_are_spread_over_the_workers(bus: Bus) -> None:
    clip = await stored_clip(bus)
    text = " ".join(f"This is sentence number {number}." for number in range(30))
    async with tone_service(bus, workers=2, real_time_factor=0.05):
        async with speaker(bus).speaking(speech_request(clip, text)) as speech:
            pieces = [piece async for piece in speech.chunks()]
    assert digest(pieces) == digest([expected_pcm(text)])
    assert len({end.worker for end in speech.spoken}) == 2


async def test_many_requests_at_once_do_not_mix(bus: Bus) -> None:
    clip = await stored_clip(bus)

    async def heard(seed: int) -> str:
        async with speaker(bus).speaking(speech_request(clip, seed=seed)) as speech:
            return digest([piece async for piece in speech.chunks()])

    async with tone_service(bus, workers=2):
        digests = await asyncio.gather(*(heard(seed) for seed in range(12)))
    assert digests == [digest([expected_pcm(seed=seed)]) for seed in range(12)]


async def test_how_to_speak_reaches_every_sentence(bus: Bus) -> None:
    request = msgspec.structs.replace(
        speech_request(await stored_clip(bus)), parameters=Parameters(speed=1.6)
    )
    async with tone_service(bus, workers=2):
        async with speaker(bus).speaking(request) as speech:
            pieces = [piece async for piece in speech.chunks()]
    assert digest(pieces) == digest([expected_pcm(speed=1.6)])


async def test_a_subscriber_on_nats_gets_the_sentences_before_the_audio(bus: Bus) -> None:
    clip = await stored_clip(bus)
    request = speech_request(clip)
    async with tone_service(bus), open_inbox(bus, "public", request.request) as inbox:
        await bus.publish(
            subjects.request("public"), codec.encode(request), message_id=request.request
        )
        first = await inbox.next(5)
        events = [first]
        while sum(isinstance(event, SentenceSpoken) for event in events) < sentence_count():
            events.append(await inbox.next(5))
    assert isinstance(first, TextSplit)
    spans = sorted((*first.sentences, *first.dropped), key=lambda span: span.start)
    assert "".join(TEXT[span.start : span.end] for span in spans) == TEXT
    assert all(isinstance(event, TextSplit | AudioChunk | SentenceSpoken) for event in events)


async def test_leaving_early_cancels_the_request_and_leaves_nothing_queued(bus: Bus) -> None:
    clip = await stored_clip(bus)
    text = " ".join(f"This is sentence number {number}." for number in range(60))
    async with tone_service(bus, workers=1, real_time_factor=1.0):
        request = speech_request(clip, text)
        async with speaker(bus).speaking(request) as speech:
            async for _ in speech.chunks():
                break
        await until_empty(bus)
        async with open_inbox(bus, "public", request.request) as inbox:
            failed = await inbox.failed()
        assert isinstance(failed, SpeechFailed)
        assert failed.code == "cancelled"


async def failure_of(bus: Bus, **changes: object) -> PipelineError:
    request = speech_request(await stored_clip(bus))
    changed = msgspec.structs.replace(request, **changes)
    async with tone_service(bus, workers=1):
        with pytest.raises(PipelineError) as failure:
            async with speaker(bus).speaking(changed) as speech:
                async for _ in speech.chunks():
                    pass
        await until_empty(bus)
    return failure.value


async def test_a_clip_that_is_not_stored_is_a_failure_for_its_listener(bus: Bus) -> None:
    failure = await failure_of(bus, clips=("0" * 64,))
    assert (failure.code, failure.http_status) == ("unknown_clip", 404)


async def test_a_request_that_comes_while_the_only_worker_still_loads_waits_for_it(
    bus: Bus,
) -> None:
    loading = WorkerState(
        worker="worker-loading", engine="tone", engine_version="unknown", state="loading", detail="", languages=(),
        max_characters={}, licence="unknown", sample_rate_hz=24_000, device="unknown", slots=3, busy=0,
        real_time_factor=None, parameters={},
    )  # fmt: skip
    stop = asyncio.Event()

    async def tell() -> None:
        await publish_heartbeats(bus, subjects.worker_state("tone", loading.worker), loading)

    async def heard() -> str:
        async with speaker(bus).speaking(speech_request(await stored_clip(bus))) as speech:
            return digest([piece async for piece in speech.chunks()])

    async with tasks() as group:
        group.create_task(every(0.1, tell, stop))
        group.create_task(splitter_app.serve(bus, Settings(), stop))
        hearing = group.create_task(heard())
        # the splitter has received the request by now, and no worker for its language exists
        await asyncio.sleep(1.0)
        async with tone_service(bus, workers=1):
            assert await hearing == digest([expected_pcm()])
        stop.set()


async def test_a_text_without_words_is_a_failure_for_its_listener(bus: Bus) -> None:
    failure = await failure_of(bus, text="... !?")
    assert (failure.code, failure.http_status) == ("empty_text", 422)


async def test_an_unknown_language_is_a_failure_for_its_listener(bus: Bus) -> None:
    failure = await failure_of(bus, language="xx")
    assert (failure.code, failure.http_status) == ("unsupported_language", 422)


async def test_a_parameter_that_the_engine_does_not_take_is_a_failure_for_its_listener(
    bus: Bus,
) -> None:
    failure = await failure_of(bus, parameters=Parameters(speed=1.5, temperature=0.7))
    assert (failure.code, failure.http_status, failure.retryable) == (
        "unsupported_parameter",
        422,
        False,
    )
    assert "the engine tone has no use for temperature; it takes speed" in str(failure)


async def test_a_parameter_out_of_its_range_is_a_failure_for_its_listener(bus: Bus) -> None:
    failure = await failure_of(bus, parameters=Parameters(speed=9.0))
    assert (failure.code, failure.http_status) == ("malformed_message", 400)
    assert "speed" in str(failure)


async def test_a_request_that_is_too_late_is_a_failure_for_its_listener(bus: Bus) -> None:
    failure = await failure_of(bus, deadline_unix_ms=1_000)
    assert failure.code == "deadline_exceeded"


async def test_a_malformed_request_is_answered_on_the_bus(bus: Bus) -> None:
    async with tone_service(bus, workers=1), open_inbox(bus, "public", "request-1") as inbox:
        payload = codec.encode(speech_request("0" * 64)).replace(b"\xa4seed", b"\xa4sead")
        payload = payload.replace(codec.peek_request(payload).encode(), b"request-1" + b"0" * 23)  # type: ignore[union-attr]
        async with open_inbox(bus, "public", "request-1" + "0" * 23) as own:
            await bus.publish(subjects.request("public"), payload, message_id="malformed")
            event = await own.next(10)
        assert isinstance(event, SpeechFailed)
        assert event.code == "malformed_message"
        assert "seed" in event.detail
        assert await inbox.next(0.1) is None
        await until_empty(bus)


async def test_lost_events_are_fetched_by_index(bus: Bus) -> None:
    clip = await stored_clip(bus)
    request = speech_request(clip)
    async with tone_service(bus, workers=1):
        async with speaker(bus).speaking(request) as speech:
            deaf = await speech._inbox._events._attempts[
                request.request
            ].inbox._listener.close()  # hears nothing more: everything has to be fetched
            assert deaf is None
            pieces = [piece async for piece in speech.chunks()]
    assert digest(pieces) == digest([expected_pcm()])
