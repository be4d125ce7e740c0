"""A listener in real time: synthesis stays within a window ahead of it, and audio that was dropped is spoken again."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.common.bus import topology
from services.common.bus.memory.bus import MemoryBus
from services.common.bus.memory.streams import matches
from services.common.bus.memory.subscriptions import MemorySubscription
from services.common.bus.ports import Bus
from services.common.wire import subjects
from services.common.wire.failures import PipelineError
from services.http_edge.metrics import Metrics
from services.http_edge.speech import attempt_limits
from services.http_edge.speech.commands import publish_request
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.session import SpeechSession, SpeechSessions
from tests.support.buses import bus_of
from tests.support.service import (
    TEXT,
    digest,
    expected_pcm,
    sentence_count,
    speech_request,
    stored_clip,
    tone_service,
)

BOOK = " ".join(f"{TEXT} That was chapter {number}." for number in range(12))  # 144 s
PORTION_S = 10.0
LONGEST_SENTENCE_S = 5.0
BYTES_A_SECOND = 48_000


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus:
        yield bus


def speaker(bus: Bus) -> SpeechSessions:
    return SpeechSessions(bus, Metrics(), first_audio_timeout_s=30, portion_s=PORTION_S)


async def until_idle(bus: Bus) -> None:
    async with asyncio.timeout(60):
        while await bus.message_count(topology.REQUESTS) + await bus.message_count(
            topology.SENTENCES
        ):
            await asyncio.sleep(0.05)


async def deaf(speech: SpeechSession, run: str) -> None:
    """Let a session receive no audio but end markers, as when more came than an inbox holds."""
    await speech._inbox._events._attempts[run].inbox._listener.close()  # type: ignore[attr-defined]


async def stored_seconds(bus: Bus, request: str) -> float:
    """Return how much of a request's audio was made; all of it is stored, as the store is large."""
    found = await bus.stored(
        topology.AUDIO, subjects.request_events("public", request), most=10_000
    )
    return (
        sum(len(message.payload) for message in found if len(message.payload) > 2_000)
        / BYTES_A_SECOND
    )


async def test_synthesis_stays_within_two_portions_of_its_listener(bus: Bus) -> None:
    clip = await stored_clip(bus)
    request, heard, ahead_s = speech_request(clip, BOOK), bytearray(), list[float]()
    async with tone_service(bus), speaker(bus).speaking(request, listening=True) as speech:
        async for piece in speech.chunks():
            before, heard = len(heard) // 720_000, heard + piece
            if len(heard) // 720_000 > before:  # every 15 seconds of audio: look how much is ready
                await until_idle(bus)
                ahead_s.append(
                    await stored_seconds(bus, request.request) - len(heard) / BYTES_A_SECOND
                )
    assert digest([bytes(heard)]) == digest([expected_pcm(BOOK)])
    assert len(ahead_s) > 7
    assert max(ahead_s) < 2 * PORTION_S + 2 * LONGEST_SENTENCE_S
    assert len(speech.spoken) == sentence_count(BOOK)


async def test_a_portion_that_is_not_requested_is_not_spoken(bus: Bus) -> None:
    clip = await stored_clip(bus)
    request = speech_request(clip, BOOK)
    async with tone_service(bus), speaker(bus).speaking(request, listening=True) as speech:
        pieces = speech.chunks()
        await anext(pieces)
        await until_idle(bus)
        first_s = await stored_seconds(bus, request.request)
        await asyncio.sleep(1)
        assert (
            await stored_seconds(bus, request.request) == first_s < PORTION_S + LONGEST_SENTENCE_S
        )


async def test_who_takes_everything_at_once_is_given_it_in_one_portion(bus: Bus) -> None:
    clip = await stored_clip(bus)
    request = speech_request(clip, BOOK)
    async with tone_service(bus), speaker(bus).speaking(request) as speech:
        pieces = [await anext(speech.chunks())]
        await until_idle(bus)
        assert await stored_seconds(bus, request.request) > 100
        pieces += [piece async for piece in speech.chunks()]
    assert digest(pieces) == digest([expected_pcm(BOOK)])


async def test_audio_that_was_dropped_before_it_was_read_is_spoken_again(bus: Bus) -> None:
    clip = await stored_clip(bus)
    request, here = speech_request(clip, BOOK), speaker(bus)
    async with tone_service(bus), here.speaking(request, listening=True) as speech:
        pieces = list[bytes]()
        async for piece in speech.chunks():
            pieces.append(piece)
            if len(pieces) in (1, 40):  # deaf from the first; then what it would fetch is dropped
                await until_idle(bus)
                await deaf(speech, speech._inbox._events.ids[-1])  # type: ignore[attr-defined]
                await bus.purge(topology.AUDIO, subjects.AUDIO)
    assert digest(pieces) == digest([expected_pcm(BOOK)])
    assert here.metrics.spoken_again._value.get() >= 1


async def test_audio_that_was_dropped_with_its_end_markers_is_spoken_again_after_a_while(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_limits, "_OWN_PATIENCE_S", 1.0)
    clip = await stored_clip(bus)
    request = speech_request(clip, BOOK)
    async with tone_service(bus), speaker(bus).speaking(request, listening=True) as speech:
        pieces = list[bytes]()
        async for piece in speech.chunks():
            pieces.append(piece)
            if len(pieces) == 1:
                await until_idle(bus)
                await deaf(speech, request.request)
                run = speech._inbox._events._attempts[request.request]  # type: ignore[attr-defined]
                await run._ends._listener.close()
                await bus.purge(topology.AUDIO, subjects.request_events("public", request.request))
    assert digest(pieces) == digest([expected_pcm(BOOK)])


async def test_audio_that_only_an_earlier_attempt_had_is_spoken_again_at_once_when_it_is_dropped(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_limits, "_OWN_PATIENCE_S", math.inf)
    request, here = speech_request(await stored_clip(bus), BOOK), speaker(bus)
    earlier = replace(request, request="an-earlier-attempt")
    async with (
        asyncio.timeout(120),
        tone_service(bus),
        here.speaking(request, listening=True) as speech,
    ):
        events = speech._inbox._events  # type: ignore[attr-defined]
        await events.subscribe(earlier.request)
        await deaf(speech, earlier.request)
        await publish_request(bus, earlier)
        await until_idle(bus)
        pieces = list[bytes]()
        async for piece in speech.chunks():
            pieces.append(piece)
            if len(pieces) == 60:
                assert speech._inbox._portions.latest.leaves_out(  # type: ignore[attr-defined]
                    events.assembly.sentence + 1
                )
                await bus.purge(topology.AUDIO, subjects.AUDIO)
    assert digest(pieces) == digest([expected_pcm(BOOK)])
    assert here.metrics.spoken_again._value.get() >= 1


async def test_two_listeners_of_one_request_each_get_it_whole_at_their_own_pace(bus: Bus) -> None:
    clip = await stored_clip(bus)
    request, here = speech_request(clip, BOOK), speaker(bus)
    records = RequestStore(bus, topology.KEPT)

    async def leave() -> None:
        return

    async def hear(speech: SpeechSession, pause_s: float) -> str:
        pieces = list[bytes]()
        async for piece in speech.chunks():
            pieces.append(piece)
            await asyncio.sleep(pause_s)
        return digest(pieces)

    async with tone_service(bus), here.speaking(request, leave, listening=True) as first:
        heard = [request.request, *await records.attempts("public", request.request)]
        async with (
            here.open_attempts(request, earlier=heard, sole=False, renewing=True) as joined,
            here.resuming(request, joined, leave, listening=True) as second,
        ):
            digests = await asyncio.gather(hear(first, 0.0), hear(second, 0.01))
    assert set(digests) == {digest([expected_pcm(BOOK)])}


async def test_a_listener_may_take_twice_as_long_as_the_audio_on_top_of_the_requests_time(
    bus: Bus,
) -> None:
    clip = await stored_clip(bus)
    request = speech_request(clip, BOOK, lasts_s=3)
    async with tone_service(bus), speaker(bus).speaking(request, listening=True) as speech:
        pieces, began_s = list[bytes](), time.monotonic()
        async for piece in speech.chunks():
            pieces.append(piece)
            await asyncio.sleep(0.006)
    assert time.monotonic() - began_s > 3
    assert digest(pieces) == digest([expected_pcm(BOOK)])


class ForgetfulBus(MemoryBus):
    """Audio is neither stored nor received: as with a store far too small and an edge far too slow."""

    def _dispatch(self, subject: str, payload: bytes, reply: str = "") -> None:
        subscriptions = self._subscriptions
        if _is_chunk(subject):
            self._subscriptions = list[MemorySubscription]()
        super()._dispatch(subject, payload, reply)
        self._subscriptions = subscriptions

    async def last(self, stream: str, subject: str) -> bytes | None:
        return None if _is_chunk(subject) else await super().last(stream, subject)


def _is_chunk(subject: str) -> bool:
    return matches("tts.v1.audio.*.*.*.*", subject) and not subject.endswith(".end")


async def test_audio_that_is_lost_at_every_attempt_fails_the_request_within_seconds() -> None:
    bus = ForgetfulBus()
    await bus.establish(topology.topology())
    clip = await stored_clip(bus)
    async with (
        tone_service(bus),
        speaker(bus).speaking(speech_request(clip), listening=True) as speech,
    ):
        async with asyncio.timeout(60):
            with pytest.raises(PipelineError) as refused:
                await anext(speech.chunks())
    assert refused.value.code == "audio_gone"
    assert refused.value.retryable


async def test_a_stream_that_is_resumed_when_none_of_it_is_stored_is_not_spoken_from_its_beginning(
    bus: Bus,
) -> None:
    request, speaking, heard = (
        speech_request(await stored_clip(bus), BOOK),
        speaker(bus),
        bytearray(),
    )
    assert await RequestStore(bus, topology.KEPT).keep(request)
    async with tone_service(bus):
        async with speaking.speaking(request, listening=True) as speech:
            async for piece in speech.chunks():
                heard += piece
                if len(heard) > 60 * BYTES_A_SECOND:
                    break
        await until_idle(bus)
        await bus.purge(topology.AUDIO, subjects.AUDIO)
        async with speaking.open_attempts(
            request, earlier=[request.request], sole=True, renewing=True
        ) as attempts:
            sentence, skip, _ = await attempts.locate(len(heard))
            assert sentence > 5
            async with speaking.resuming(
                request, attempts, attempts.cancel, first_sentence=sentence, listening=True
            ) as speech:
                rest = b"".join([piece async for piece in speech.chunks()])
    assert digest([bytes(heard), rest[skip:]]) == digest([expected_pcm(BOOK)])
    assert len(rest) < len(expected_pcm(BOOK)) - len(heard) + 3 * PORTION_S * BYTES_A_SECOND
