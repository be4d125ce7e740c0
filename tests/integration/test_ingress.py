"""The NATS ingress for tenants' requests and clips, on a real bus and on its twin. Workers and splitters only send
heartbeats, so that queued messages stay in the queue."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from services.common.bus import topology
from services.common.bus.clips import clip_id, store_clip
from services.common.bus.heartbeats import splitters, workers
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import every, tasks
from services.common.wire import codec, subjects
from services.common.wire.fields import NO_WATERMARK, WATERMARK
from services.common.wire.messages import SpeechRequest, SplitterState
from services.common.wire.options import Parameters
from services.common.wire.parts import BuiltInVoice
from services.common.wire.voices import Voice
from services.http_edge.capacity.admission import Admission
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.ingress import RequestIngress, Responder
from services.http_edge.jobs.store import JobStore
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from services.http_edge.speech.request_store import RequestStore
from tests.support.buses import bus_of
from tests.support.messages import EXAMPLES, STORED_VOICE
from tests.support.service import speech_request

SETTINGS = Settings(engine="tone", queue_audio_s=20.0, tenant_share=0.5, max_text_characters=1000)


@dataclass
class Front:
    """A client that publishes as a tenant's client does."""

    bus: Bus
    clip: str

    def request(self, tenant: str = "acme", text: str = "Hello.") -> SpeechRequest:
        return msgspec.structs.replace(speech_request(self.clip, text), tenant=tenant)

    async def ask(self, request: SpeechRequest | bytes, tenant: str = "acme") -> dict[str, object]:
        payload = request if isinstance(request, bytes) else codec.encode(request)
        answer = await self.bus.request(subjects.door_request(tenant), payload, timeout_s=20)
        assert answer is not None
        told: dict[str, object] = json.loads(answer)
        return told

    async def refused(
        self, request: SpeechRequest | bytes, tenant: str = "acme"
    ) -> tuple[int, str]:
        """Return the status and the code of a refusal."""
        error = (await self.ask(request, tenant))["error"]
        assert isinstance(error, dict)
        return error["code"], error["description"].partition(":")[0]

    def speaking(self, voice: str | None, **changes: object) -> SpeechRequest:
        """Return a request that names this voice, or none."""
        named = UNSET if voice is None else voice
        return msgspec.structs.replace(self.request(), clips=(), voice=named, **changes)

    async def last(self) -> SpeechRequest:
        """Return the request that was queued last."""
        stored = await self.bus.stored(topology.REQUESTS, subjects.REQUESTS, most=100)
        return codec.decode(stored[-1].payload, SpeechRequest)

    async def queued(self) -> int:
        return await self.bus.message_count(topology.REQUESTS)


@asynccontextmanager
async def ingress(bus: Bus, settings: Settings = SETTINGS) -> AsyncIterator[Front]:
    stop, metrics = asyncio.Event(), Metrics()
    fleet = Fleet(settings.engine, workers(bus), splitters(bus))
    admission = Admission(fleet, settings, metrics)
    [worker] = [example for example in EXAMPLES if type(example).__name__ == "WorkerState"]
    worker = msgspec.structs.replace(
        worker,
        engine="tone",
        state="ready",
        languages=("en",),
        slots=2,
        voices=(BuiltInVoice(name="Heart", gender="female"),),
        default_voices={"en": "Heart"},
        watermark=WATERMARK,
    )

    async def beat() -> None:
        await bus.send(subjects.worker_state("tone", worker.worker), codec.encode(worker))
        idle = SplitterState(splitter="splitter-1", requests=0, queued_audio_s=0.0)
        await bus.send(subjects.splitter_state("splitter-1"), codec.encode(idle))

    async with tasks() as group:
        work = RequestIngress(bus, fleet, admission, settings, group, stop)
        serving = Responder(
            bus, metrics, subjects.INGRESS_REQUESTS, work, limit_per_tenant=8, limit=16
        )
        for running in (
            fleet.workers.follow(stop),
            fleet.splitters.follow(stop),
            serving.serve(stop),
        ):
            group.create_task(running)
        group.create_task(every(0.5, beat, stop))
        async with asyncio.timeout(60):
            while fleet.why_not_ready() is not None:
                await asyncio.sleep(0.02)
        try:
            for tenant in ("acme", "globex"):
                clip = await store_clip(bus, tenant, b"a clip of this tenant")
            await store_clip(bus, "initech", b"a clip of another one")
            yield Front(bus, clip)
        finally:
            stop.set()


@pytest.fixture(params=["memory", "nats"])
async def front(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Front]:
    async with bus_of(request.param, tmp_path) as bus, ingress(bus) as made:
        yield made


async def test_a_request_is_queued_and_acknowledged_as_by_jetstream(front: Front) -> None:
    assert await front.ask(front.request()) == {"stream": "TTS_REQUESTS", "seq": 0}
    assert await front.queued() == 1


async def test_the_same_request_again_is_the_same_request(front: Front) -> None:
    request = front.request()
    await front.ask(request)
    assert await front.ask(request) == {"stream": "TTS_REQUESTS", "seq": 0, "duplicate": True}
    assert await front.queued() == 1


@pytest.mark.parametrize("sent", [UNSET, NO_WATERMARK, "voice-cloning-9"])
async def test_a_tenant_cannot_leave_the_watermark_out(front: Front, sent: str | UnsetType) -> None:
    for portion_s in (UNSET, 10.0):
        await front.ask(
            msgspec.structs.replace(front.request(), watermark=sent, portion_s=portion_s)
        )
        assert (await front.last()).watermark == WATERMARK


async def test_the_portions_of_a_request_share_its_id_and_each_is_queued(front: Front) -> None:
    first = msgspec.structs.replace(front.request(), portion_s=10.0)
    later = msgspec.structs.replace(
        first, first_sentence=3, first_lane="standard", deadline_unix_ms=first.deadline_unix_ms + 5
    )
    for portion in (first, later):
        assert await front.ask(portion) == {"stream": "TTS_REQUESTS", "seq": 0}
    assert await front.ask(later) == {"stream": "TTS_REQUESTS", "seq": 0, "duplicate": True}
    assert await front.queued() == 2
    assert (await front.refused(msgspec.structs.replace(later, text="Other words.")))[
        1
    ] == "request_id_taken"


async def test_a_request_that_took_its_id_and_was_never_queued_is_queued_when_it_comes_again(
    front: Front,
) -> None:
    request = front.request()
    await RequestStore(front.bus, topology.KEPT).hold(request)
    assert "duplicate" not in await front.ask(request)
    assert await front.queued() == 1


async def test_no_text_is_stored_of_a_request_that_cannot_be_resumed(front: Front) -> None:
    request = front.request(text="Something private.")
    await front.ask(request)
    records = RequestStore(front.bus, topology.KEPT)
    assert await records.known("acme", request.request)
    assert await records.request("acme", request.request) is None
    value = await front.bus.get_value(topology.KEPT, f"request.acme.{request.request}")
    assert value is not None
    assert len(value) == 32


async def test_an_id_stands_for_one_request_or_job_of_its_tenant(front: Front) -> None:
    first = front.request()
    await front.ask(first)
    assert await front.refused(msgspec.structs.replace(first, text="Another.")) == (
        409,
        "request_id_taken",
    )
    job = front.request()
    await JobStore(front.bus, RequestStore(front.bus, topology.PROGRESS)).create(job)
    assert await front.refused(job) == (409, "request_id_taken")
    assert await front.queued() == 1


async def test_what_http_would_refuse_is_refused(front: Front) -> None:
    good = front.request()
    refusals = {
        (400, "malformed_message"): [
            b"",
            b"\xc1",
            b"{}",
            codec.encode(front.request(tenant="globex")),
            codec.encode(EXAMPLES[-1]),
        ],
        (413, "text_too_long"): [front.request(text="a" * 1001), b"\xdb" + b"x" * 1_100_000],
        (404, "unknown_clip"): [
            msgspec.structs.replace(good, clips=(clip,))
            for clip in ("0" * 64, clip_id(b"a clip of another one"))
        ],
        (422, "unsupported_language"): [
            msgspec.structs.replace(good, language=tag) for tag in ("xx", "fr")
        ],
        (504, "deadline_exceeded"): [msgspec.structs.replace(good, deadline_unix_ms=1)],
    }
    for refusal, requests in refusals.items():
        for request in requests:
            assert await front.refused(request) == refusal
    assert await front.queued() == 0
    assert "error" not in await front.ask(good)  # none of them took its id


async def test_an_engine_that_never_ran_is_refused_for_good_once_that_is_certain(
    front: Front,
) -> None:
    request = msgspec.structs.replace(front.request(), engine="no-such")
    refused = await front.refused(request)
    async with asyncio.timeout(20):
        while refused == (503, "engine_unavailable"):  # its heartbeats may not have arrived yet
            await asyncio.sleep(0.2)
            refused = await front.refused(request)
    assert refused == (404, "engine_unavailable")
    assert await front.queued() == 0


async def test_a_deadline_is_no_later_than_that_of_a_request_over_http(front: Front) -> None:
    await front.ask(msgspec.structs.replace(front.request(), deadline_unix_ms=4_000_000_000_000))
    [stored] = await front.bus.stored(topology.REQUESTS, subjects.REQUESTS, most=2)
    lasts_s = codec.decode(stored.payload, SpeechRequest).deadline_unix_ms / 1000 - stored.unix_s
    assert 0 < lasts_s < SETTINGS.request_timeout_s + 60


async def test_a_tenant_over_its_share_is_refused_and_others_are_not(front: Front) -> None:
    long = "A sentence that lasts. " * 20  # 5 s of it are due
    told = [await front.ask(front.request(text=long)) for _ in range(4)]
    assert ["error" in answer for answer in told] == [False, False, True, True]
    assert await front.refused(front.request()) == (429, "tenant_queue_full")
    assert "error" not in await front.ask(front.request(tenant="globex"), tenant="globex")


async def test_large_requests_leave_the_queue_to_others(front: Front) -> None:
    for _ in range(40):
        await front.bus.publish(
            subjects.request("acme"), b"queued", message_id=secrets.token_hex(8)
        )
    words = {f"{'w' * 90}{number:03}": "x" * 100 for number in range(500)}
    crowd = tuple(front.clip for _ in range(8))
    large = msgspec.structs.replace(front.request(), pronunciations=words, clips=crowd)
    assert len(codec.encode(large)) > 90_000
    assert "error" not in await front.ask(large)
    for _ in range(160):
        await front.bus.publish(
            subjects.request("acme"), b"queued", message_id=secrets.token_hex(8)
        )
    again = msgspec.structs.replace(large, request=secrets.token_hex(16))
    assert await front.refused(again) == (429, "tenant_queue_full")
    assert "error" not in await front.ask(front.request())


async def test_a_flood_of_one_tenant_is_refused_and_costs_no_other_its_answer(
    front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    flood = [asyncio.create_task(front.ask(b"\xc1")) for _ in range(60)]
    assert "error" not in await front.ask(front.request(tenant="globex"), tenant="globex")
    told = [answer["error"] for answer in await asyncio.gather(*flood)]
    lines = capsys.readouterr().out.count("ingress_refused")
    assert 1 <= lines <= 2, "a flood is not logged line by line"
    codes = {error["code"] for error in told if isinstance(error, dict)}
    assert codes <= {400, 429}


async def voice_of(front: Front, tenant: str = "acme") -> Voice:
    """Store a voice of a tenant that is faster than usual."""
    draft = msgspec.structs.replace(
        STORED_VOICE, name="Anna", tenant=tenant, parameters=Parameters(speed=1.5, top_k=7)
    )
    return await VoiceLibrary(front.bus).create(draft, [b"a clip"])


async def test_a_request_is_queued_with_its_voice_resolved(front: Front) -> None:
    anna = await voice_of(front)
    fast = Parameters(speed=1.5)
    for given, reference, parameters in (
        ("anna", f"{anna.voice}@1", fast),
        (anna.voice, f"{anna.voice}@1", fast),
        (f"{anna.voice}@1", f"{anna.voice}@1", fast),
        ("Heart", "builtin:Heart", Parameters()),
        (None, "builtin:Heart", Parameters()),
    ):
        request = front.speaking(given)
        assert "error" not in await front.ask(request)
        queued = await front.last()
        assert (queued.request, queued.voice) == (request.request, reference)
        assert queued.parameters == parameters
        assert (await front.ask(request))["duplicate"] is True


async def test_a_voice_that_cannot_be_used_is_refused_at_once(front: Front) -> None:
    anna = await voice_of(front, tenant="globex")
    refusals = {
        (404, "unknown_voice"): [
            front.speaking(given)
            for given in ("Anna", anna.voice, f"{anna.voice}@1", f"shared:{anna.voice}@1")
        ],
        (400, "malformed_message"): [
            msgspec.structs.replace(front.request(), voice="Heart"),
        ],
    }
    for refusal, requests in refusals.items():
        for request in requests:
            assert await front.refused(request) == refusal
    assert await front.queued() == 0


async def test_the_portions_of_a_request_are_queued_as_they_are_sent(front: Front) -> None:
    await voice_of(front)
    first = front.speaking("Anna", portion_s=10.0)
    later = msgspec.structs.replace(first, first_sentence=3, first_lane="standard")
    for portion in (first, later):
        assert "error" not in await front.ask(portion)
        assert (await front.last()).voice == "Anna"
    assert (await front.refused(front.speaking("Bert", portion_s=10.0)))[1] == "unknown_voice"
