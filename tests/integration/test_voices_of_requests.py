"""The voice of a request, from the name that a client sends to the sentences that workers receive, on a real bus and on
its twin. The workers only send heartbeats, so that the sentences stay in the queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import every, tasks
from services.common.wire import codec, subjects
from services.common.wire.identity import identity_of
from services.common.wire.messages import (
    SentenceJob,
    SpeechFailed,
    SpeechRequest,
    TextSplit,
    WorkerState,
)
from services.common.wire.options import Parameters
from services.common.wire.parts import BuiltInVoice
from services.common.wire.voices import SHARED_TENANT, Voice
from services.splitter import app as splitter_app
from services.splitter.settings import Settings
from tests.support.buses import bus_of
from tests.support.messages import CLIP, EXAMPLES, STORED_VOICE
from tests.support.service import sentence_count, speech_request

FIRST, SECOND = b"first clip", b"second clip"
DEFAULTS = Parameters(speed=1.5, temperature=0.7)  # the engine below supports only the speed
BUILT_IN = BuiltInVoice(name="Heart", gender="female", languages=("en",))


def worker(slots: int) -> WorkerState:
    [example] = [example for example in EXAMPLES if isinstance(example, WorkerState)]
    return msgspec.structs.replace(
        example,
        engine="tone",
        languages=("en", "fr"),
        max_characters={"en": 60, "fr": 60},
        slots=slots,
        parameters={"speed": 1.0},
        voices=(BUILT_IN,),
        default_voices={"en": "Heart"},
    )


def draft(name: str = "Anna", tenant: str = "public", **changes: object) -> Voice:
    return msgspec.structs.replace(
        STORED_VOICE, name=name, tenant=tenant, parameters=Parameters(), leftovers=(), **changes
    )


def named(voice: str | None, **changes: object) -> SpeechRequest:
    """Return a request that names this voice, or none."""
    return msgspec.structs.replace(
        speech_request(CLIP), clips=(), voice=UNSET if voice is None else voice, **changes
    )


@asynccontextmanager
async def splitting(bus: Bus, *, slots: int = 100) -> AsyncIterator[None]:
    """Run a splitter while the block runs; then stop it, which returns its requests to the queue.

    Of each lane it queues as many sentences as the only worker has slots.
    """
    stop = asyncio.Event()
    state = worker(slots)

    async def beat() -> None:
        await bus.send(subjects.worker_state("tone", state.worker), codec.encode(state))

    async with tasks() as group:
        group.create_task(every(0.2, beat, stop))
        group.create_task(splitter_app.serve(bus, Settings(), stop))
        try:
            yield
        finally:
            stop.set()


@dataclass(frozen=True)
class Client:
    """Publishes requests and reads the results."""

    bus: Bus

    async def publish(self, request: SpeechRequest, *parts: int) -> None:
        await self.bus.publish(
            subjects.request(request.tenant),
            codec.encode(request),
            message_id=identity_of(request).message_id(*parts),
        )

    async def split(self, request: SpeechRequest) -> TextSplit:
        """Return the announcement, as soon as there is one."""
        subject = subjects.text_split(request.tenant, request.request)
        return codec.decode(await self._stored(subject), TextSplit)

    async def failure(self, request: SpeechRequest) -> SpeechFailed:
        subject = subjects.request_failed(request.tenant, request.request)
        return codec.decode(await self._stored(subject), SpeechFailed)

    async def jobs(self, request: SpeechRequest, count: int) -> list[SentenceJob]:
        """Return the queued sentences, as soon as there are so many."""
        subject = subjects.request_sentences(request.tenant, request.request)
        async with asyncio.timeout(60):
            while True:
                stored = await self.bus.stored(topology.SENTENCES, subject, most=100)
                if len(stored) >= count:
                    return [codec.decode(message.payload, SentenceJob) for message in stored]
                await asyncio.sleep(0.05)

    async def begun(self, request: SpeechRequest) -> tuple[str, Parameters]:
        """Publish a request to a splitter that stops after its first sentences; return their voice and parameters."""
        async with splitting(self.bus, slots=1):
            return await self.spoken(request, sentences=2)

    async def spoken(
        self, request: SpeechRequest, *, sentences: int = sentence_count()
    ) -> tuple[str, Parameters]:
        """Publish a request; return the voice and the parameters that all its sentences have."""
        await self.publish(request)
        jobs = await self.jobs(request, sentences)
        split = await self.split(request)
        assert {job.voice for job in jobs} == {split.voice}
        assert all(job.clips == () for job in jobs)
        announced = request.parameters if split.parameters is UNSET else split.parameters
        assert all(job.parameters == announced for job in jobs)
        assert isinstance(split.voice, str)
        return split.voice, announced

    async def refused(self, request: SpeechRequest) -> tuple[str, str]:
        """Publish a request; return the code and the detail of its failure."""
        await self.publish(request)
        failure = await self.failure(request)
        assert not failure.retryable
        assert await self.bus.message_count(topology.SENTENCES) == 0
        return failure.code, failure.detail

    async def _stored(self, subject: str) -> bytes:
        async with asyncio.timeout(60):
            while (payload := await self.bus.last(topology.AUDIO, subject)) is None:
                await asyncio.sleep(0.05)
        return payload


@pytest.fixture(params=["memory", "nats"])
async def client(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Client]:
    async with bus_of(request.param, tmp_path) as bus:
        yield Client(bus)


async def test_a_name_is_resolved_once_and_every_sentence_has_the_voice(client: Client) -> None:
    library = VoiceLibrary(client.bus)
    own = await library.create(draft("Anna"), [FIRST])
    shared = await library.create(draft("House", tenant=SHARED_TENANT), [FIRST])
    async with splitting(client.bus):
        for given, reference in (
            ("ANNA", f"{own.voice}@1"),
            (own.voice, f"{own.voice}@1"),
            (f"{own.voice}@1", f"{own.voice}@1"),
            ("House", f"shared:{shared.voice}@1"),
            ("heart", "builtin:Heart"),
            (None, "builtin:Heart"),  # the default voice of the language
        ):
            assert await client.spoken(named(given)) == (reference, Parameters()), given


async def test_a_request_with_clips_has_them_and_no_voice(client: Client) -> None:
    request = speech_request(CLIP)
    async with splitting(client.bus):
        await client.publish(request)
        jobs = await client.jobs(request, sentence_count())
        split = await client.split(request)
    assert {(job.clips, job.voice) for job in jobs} == {((CLIP,), UNSET)}
    assert (split.voice, split.parameters) == (UNSET, UNSET)


async def test_a_request_with_a_voice_and_clips_is_refused(client: Client) -> None:
    async with splitting(client.bus):
        assert await client.refused(msgspec.structs.replace(named("Heart"), clips=(CLIP,))) == (
            "malformed_message",
            "voice and clips are both set; send one of them",
        )


async def test_a_voice_that_does_not_exist_is_never_replaced_by_another(client: Client) -> None:
    library = VoiceLibrary(client.bus)
    gone = await library.create(draft("Bert"), [FIRST])
    await library.create(draft("Secret", tenant="other"), [FIRST])
    await library.delete("public", gone.voice)
    async with splitting(client.bus):
        for given in ("Bert", gone.voice, f"{gone.voice}@1", "Secret", "builtin:Secret"):
            code, detail = await client.refused(named(given))
            assert code == "unknown_voice", given
            assert "Secret" not in detail
        code, detail = await client.refused(named("Haert"))
        assert "nearest names are Heart" in detail


async def test_without_a_default_voice_the_failure_states_what_to_send(client: Client) -> None:
    async with splitting(client.bus):
        assert await client.refused(named(None, language="fr", text="Bonjour.")) == (
            "unknown_voice",
            "the engine tone has no default voice for fr; send voice or clips",
        )


async def test_parameters_of_a_voice_fill_those_that_a_request_does_not_set(client: Client) -> None:
    voice = await VoiceLibrary(client.bus).create(
        msgspec.structs.replace(draft("Fast"), parameters=DEFAULTS), [FIRST]
    )
    async with splitting(client.bus):
        _, parameters = await client.spoken(named("Fast"))
        assert parameters == Parameters(speed=1.5), "what the engine does not support is left out"
        _, parameters = await client.spoken(named("Fast", parameters=Parameters(speed=0.5)))
        assert parameters == Parameters(speed=0.5)
        _, parameters = await client.spoken(named(f"{voice.voice}@1"))
        assert parameters == Parameters(speed=1.5)
        complete = named(f"{voice.voice}@1", voice_defaults=False)
        assert (await client.spoken(complete))[1] == Parameters(), "its sender has added them"


async def test_a_redelivered_request_keeps_its_voice_and_parameters(client: Client) -> None:
    library = VoiceLibrary(client.bus)
    anna = await library.create(
        msgspec.structs.replace(draft("Anna"), parameters=DEFAULTS), [FIRST]
    )
    request = named("Anna")
    voice, parameters = await client.begun(request)
    await library.change(
        "public",
        anna.voice,
        lambda now: msgspec.structs.replace(now, name="Anne", parameters=Parameters(speed=2.0)),
    )
    await library.create(draft("Anna"), [SECOND])
    async with splitting(client.bus):
        later = await client.jobs(request, sentence_count())
    assert {(job.voice, job.parameters) for job in later} == {(voice, parameters)}
    assert voice == f"{anna.voice}@1"


@pytest.mark.parametrize("given", ["Anna", None])
async def test_clips_that_are_replaced_between_two_deliveries_fail_the_request(
    client: Client, given: str | None
) -> None:
    library = VoiceLibrary(client.bus)
    anna = await library.create(draft("Anna"), [FIRST])
    request = named(given or anna.voice)
    voice, _ = await client.begun(request)
    assert (await library.replace_clips("public", anna.voice, [SECOND])).revision == 2
    async with splitting(client.bus):
        failure = await client.failure(request)
    assert (failure.code, failure.retryable) == ("unknown_voice", False)
    assert "clips were replaced" in failure.detail
    assert await client.bus.message_count(topology.SENTENCES) == 0
    assert voice == f"{anna.voice}@1"


async def test_a_voice_that_is_deleted_between_two_deliveries_fails_the_request(
    client: Client,
) -> None:
    library = VoiceLibrary(client.bus)
    anna = await library.create(draft("Anna"), [FIRST])
    request = named("Anna")
    await client.begun(request)
    await library.delete("public", anna.voice)
    await library.create(draft("Anna"), [SECOND])
    async with splitting(client.bus):
        assert (await client.failure(request)).code == "unknown_voice"
    assert await client.bus.message_count(topology.SENTENCES) == 0


async def test_a_later_portion_has_the_voice_of_the_first(client: Client) -> None:
    library = VoiceLibrary(client.bus)
    anna = await library.create(
        msgspec.structs.replace(draft("Anna"), parameters=DEFAULTS), [FIRST]
    )
    first = named("Anna", portion_s=1.0)
    async with splitting(client.bus):
        await client.publish(first)
        split = await client.split(first)
        assert split.portion is not UNSET
        await library.change(
            "public", anna.voice, lambda now: msgspec.structs.replace(now, name="Anne")
        )
        await library.create(draft("Anna"), [SECOND])
        until = split.portion.until
        await client.publish(
            msgspec.structs.replace(first, first_sentence=until, first_lane="standard"), until
        )
        jobs = await client.jobs(first, until + 1)
    assert {(job.voice, job.parameters) for job in jobs} == {
        (f"{anna.voice}@1", Parameters(speed=1.5))
    }


async def test_of_two_deliveries_at_once_the_first_announcement_counts(client: Client) -> None:
    library = VoiceLibrary(client.bus)
    anna = await library.create(draft("Anna"), [FIRST])
    bert = await library.create(draft("Bert"), [SECOND])
    request = named("Anna")
    await client.bus.publish(
        subjects.text_split("public", request.request),
        codec.encode(
            msgspec.structs.replace(SPLIT, request=request.request, voice=bert.resolved.reference)
        ),
        message_id=identity_of(request).message_id("split"),
    )
    async with splitting(client.bus):
        await client.publish(request)
        jobs = await client.jobs(request, sentence_count())
    assert {job.voice for job in jobs} == {bert.resolved.reference}
    assert anna.resolved != bert.resolved


[SPLIT] = [example for example in EXAMPLES if isinstance(example, TextSplit)]
