"""A worker as a whole: its heartbeats, and how it ends when its engine does."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.common.bus import topology
from services.common.bus.inbox import open_inbox
from services.common.bus.memory.bus import MemoryBus
from services.common.runtime.lifecycle import tasks
from services.common.wire import codec, subjects
from services.common.wire.failures import EngineUnavailable
from services.common.wire.messages import SpeechFailed, WorkerState
from services.common.wire.options import Parameters
from services.synth_worker.app import Worker
from services.synth_worker.engine_thread import EngineThread
from services.synth_worker.engines.protocol import EngineDescription, Step
from services.synth_worker.engines.tone import ToneEngine, ToneSequence
from services.synth_worker.ports import EngineStuck
from services.synth_worker.settings import Settings
from tests.support.buses import memory_bus
from tests.support.service import only_sentence, speech_request, stored_clip, tone_service

SETTINGS = Settings(engine="tone", worker_step_timeout_s=0.3)


class Hanging(ToneEngine):
    """An engine one of whose steps takes longer than the timeout."""

    def step(self, batch: Sequence[ToneSequence]) -> list[Step]:
        import time

        time.sleep(1.5)
        return super().step(batch)


class Unloadable(ToneEngine):
    """An engine without its weights."""

    def load(self) -> None:
        raise EngineUnavailable("the weights are missing; install them")


class Fetching(ToneEngine):
    """An engine whose weights take a while to come."""

    progress = ""

    def describe(self) -> EngineDescription:
        return replace(super().describe(), progress=self.progress)

    def load(self) -> None:
        import time

        self.progress = "fetching the weights, 40%"
        time.sleep(1.2)  # longer than a heartbeat
        self.progress = ""


@pytest.fixture
async def bus() -> MemoryBus:
    return await memory_bus()


async def states(bus: MemoryBus, worker: Worker, stop: asyncio.Event) -> list[WorkerState]:
    """Return a worker's heartbeats while it lives; it is stopped when it is ready."""
    listener = await bus.subscribe(subjects.WORKERS, limit=100)
    said: list[WorkerState] = []
    async with tasks() as group:
        serving = group.create_task(worker.serve(stop))
        while not serving.done():
            heard = await listener.next(0.1)
            if heard is not None:
                said.append(codec.decode(heard.payload, WorkerState))
                if said[-1].state == "ready":
                    stop.set()
    await listener.close()
    return said


async def test_a_worker_reports_loading_ready_and_stopping(bus: MemoryBus) -> None:
    said = await states(
        bus, Worker(bus, EngineThread(ToneEngine(), step_timeout_s=0.3), SETTINGS), asyncio.Event()
    )
    kinds = [state.state for state in said]
    assert kinds[0] == "loading"
    assert "ready" in kinds
    assert kinds[-1] == "draining"
    assert {state.engine for state in said} == {"tone"}
    assert bus.listeners == 0


async def test_a_model_that_cannot_be_loaded_ends_the_worker_with_its_reason(
    bus: MemoryBus,
) -> None:
    with pytest.raises(EngineUnavailable, match="install them"):
        await Worker(bus, EngineThread(Unloadable(), step_timeout_s=0.3), SETTINGS).serve(
            asyncio.Event()
        )
    assert bus.listeners == 0


async def test_a_worker_reports_its_engines_parameters_and_the_progress_of_loading(
    bus: MemoryBus,
) -> None:
    said = await states(
        bus, Worker(bus, EngineThread(Fetching(), step_timeout_s=0.3), SETTINGS), asyncio.Event()
    )
    assert {tuple(state.parameters.items()) for state in said} == {(("speed", 1.0),)}
    assert {state.voices for state in said} == {ToneEngine().describe().voices}
    assert said[-1].default_voices == ToneEngine().describe().default_voices
    assert [state.detail for state in said if state.state == "loading"][
        -1
    ] == "fetching the weights, 40%"
    assert {state.detail for state in said if state.state == "ready"} == {""}


async def test_a_job_with_a_parameter_that_the_engine_does_not_take_is_refused_by_the_worker(
    bus: MemoryBus,
) -> None:
    request = speech_request(await stored_clip(bus))
    job = only_sentence(
        request, text="Only one sentence here.", parameters=Parameters(repetition_penalty=2.0)
    )
    subject = subjects.sentence("tone", "express", "public", job.request, 0)
    async with tone_service(bus, workers=1), open_inbox(bus, "public", job.request) as inbox:
        await bus.publish(subject, codec.encode(job), message_id=job.request)
        event = await inbox.next(5)
    assert isinstance(event, SpeechFailed)
    assert (event.sentence, event.code, event.retryable) == (0, "unsupported_parameter", False)
    assert "repetition_penalty; it takes speed" in event.detail


async def test_a_model_that_hangs_ends_its_worker_and_another_one_speaks(bus: MemoryBus) -> None:
    clip = await stored_clip(bus)
    hung = Worker(bus, EngineThread(Hanging(max_characters=60), step_timeout_s=0.3), SETTINGS)
    serving = asyncio.create_task(hung.serve(asyncio.Event()))
    await asyncio.sleep(0.1)
    request = speech_request(clip, "Only one sentence here.")
    async with tone_service(bus, workers=0):
        await bus.publish(
            subjects.request("public"), codec.encode(request), message_id=request.request
        )
        with pytest.raises(EngineStuck):
            await asyncio.wait_for(serving, 10)
        async with tone_service(bus, workers=1), asyncio.timeout(60):
            end = subjects.end("public", request.request, 0)
            while await bus.last(topology.AUDIO, end) is None:
                await asyncio.sleep(0.05)
