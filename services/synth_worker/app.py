"""Builds a worker and runs it until it has to stop."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Literal

import structlog
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.cancels import Cancels
from services.common.bus.consumer import WorkLoop
from services.common.bus.heartbeats import HEARTBEAT_S, publish_heartbeats
from services.common.bus.nats.connection import connected_bus
from services.common.bus.ports import Bus
from services.common.bus.provenance.writing import ProvenanceWriter
from services.common.runtime.health import health_server
from services.common.runtime.lifecycle import ended_before, every, tasks
from services.common.wire import subjects
from services.common.wire.failures import EngineUnavailable
from services.common.wire.fields import NO_WATERMARK, WATERMARK, Lane
from services.common.wire.messages import WorkerState
from services.synth_worker.engines.protocol import EngineDescription
from services.synth_worker.erasure import VoiceErasure
from services.synth_worker.finishing.parameters import accepted_parameters
from services.synth_worker.handler import SentenceWork
from services.synth_worker.isolation.supervisor import EngineSupervisor
from services.synth_worker.metrics import Metrics
from services.synth_worker.ports import EngineStuck, SpeakingEngine
from services.synth_worker.settings import Settings
from services.synth_worker.speed import SpeedMeter
from services.synth_worker.voices import Voices

log = structlog.get_logger()

State = Literal["loading", "ready", "draining", "failed"]


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Connect to NATS and synthesize sentences until `stop` is set.

    Raises BusUnavailable, and PipelineError if the engine cannot be loaded.
    """
    async with connected_bus(settings, name="synth-worker") as bus:
        model = EngineSupervisor(settings, step_timeout_s=settings.worker_step_timeout_s)
        worker = Worker(bus, model, settings)
        worker.measure_process(model.process_id)
        await worker.serve(stop)


class Worker:
    """One engine and its slots for sentences."""

    def __init__(self, bus: Bus, model: SpeakingEngine, settings: Settings) -> None:
        self.name = f"worker-{secrets.token_hex(4)}"
        self._bus = bus
        self._settings = settings
        self._state: State = "loading"
        self._detail = "loading the model"
        self._progress = ""  # of loading, as logged last
        self._crashes = 0  # of the engine process, counted in the metric so far
        self._metrics = Metrics()
        self._metrics.bus.follow(bus)
        self._speed = SpeedMeter()
        self._model = model
        voices = Voices(bus, model, self._metrics, capacity=settings.worker_voices)
        self._erasure = VoiceErasure(bus, voices)
        self._work = SentenceWork(
            bus=bus,
            model=model,
            voices=voices,
            cancels=Cancels(bus),
            metrics=self._metrics,
            speed=self._speed,
            loudness=settings.loudness_lufs,
            watermark=settings.watermark == "on",
            provenance=(ProvenanceWriter(bus, self.name) if settings.provenance == "on" else None),
            worker=self.name,
        )

    def measure_process(self, process_id: Callable[[], int]) -> None:
        """Add the processor time and the memory of the engine's process to the metrics."""
        self._metrics.add_engine_process(process_id)

    async def serve(self, stop: asyncio.Event) -> None:
        """Load the model, then synthesize sentences until `stop` is set.

        Sentences in flight are then finished; those that take longer than WORKER_STOP_S are nak'ed.
        """
        followers_stop = asyncio.Event()
        host = self._settings.worker_health_host
        port = self._settings.worker_health_port
        try:
            async with (
                health_server(port, self._metrics.registry, self._not_ready, host),
                tasks() as group,
            ):
                group.create_task(
                    every(HEARTBEAT_S, self._publish_state, followers_stop), name="state"
                )
                group.create_task(self._work.cancels.follow(followers_stop), name="cancels")
                group.create_task(self._erasure.follow(followers_stop), name="erasure")
                try:
                    if await ended_before(stop, self._load()):
                        await self._consume_until(stop)
                finally:
                    followers_stop.set()
        finally:
            await self._model.close()
        log.info("worker_stopped", worker=self.name)

    async def _load(self) -> None:
        log.info("Loading model", engine=self._settings.engine)
        try:
            await self._model.load()
        except EngineUnavailable as failure:
            self._state = "failed"
            self._detail = str(failure)
            await self._publish_state()
            raise
        engine = self._model.describe()
        self._state = "ready"
        self._detail = ""
        self._metrics.loaded.set(1)
        self._metrics.orphaned.labels(engine.name)  # at 0, so that the first second is an increase
        await self._publish_state()
        log.info(
            "Model loaded successfully",
            engine=engine.name,
            device=engine.device,
            licence=engine.licence,
            watermark=self._watermark(engine),
            worker=self.name,
        )
        if engine.level is not None and self._settings.watermark == "off":
            log.warning("watermark_off", engine=engine.name, worker=self.name)

    async def _consume_until(self, stop: asyncio.Event) -> None:
        standard = self._settings.worker_slots
        express = self._settings.worker_express_slots
        # First sentences can use every slot, the others only the standard ones. A pending pull holds a slot, too.
        slots: dict[Lane, int] = {"express": standard + express, "standard": standard}
        shared = asyncio.Semaphore(standard + express)
        engine = self._model.describe().name
        async with tasks() as loops:
            for lane, count in slots.items():
                loop = WorkLoop(
                    self._bus,
                    topology.sentences_consumer(engine, lane),
                    self._work,
                    slots=count,
                    shared=shared,
                    finish_s=self._settings.worker_stop_s,
                )
                loops.create_task(loop.run(stop), name=lane)
            loops.create_task(self._stop_when_stuck(stop), name="stuck")
            await stop.wait()
            if not self._model.stuck.is_set():
                self._state = "draining"
                self._detail = "finishing the sentences in flight"
            await self._publish_state()

    async def _stop_when_stuck(self, stop: asyncio.Event) -> None:
        """Raise EngineStuck when the engine hangs: the worker exits, and compose or Kubernetes restarts it."""
        stuck, stopping = (asyncio.create_task(event.wait()) for event in (self._model.stuck, stop))
        done, waiting = await asyncio.wait((stuck, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        if stuck in done:
            self._state = "failed"
            self._detail = "a step of the engine does not end"
            stop.set()
            raise EngineStuck(self._detail)

    async def _publish_state(self) -> None:
        engine = self._model.describe()
        factor = self._speed.real_time_factor
        self._log_progress(engine)
        self._metrics.crashes.inc(self._model.crashes - self._crashes)
        self._crashes = self._model.crashes

        self._metrics.busy.set(len(self._work.busy))
        if factor is not None:
            self._metrics.real_time_factor.labels(engine.name).set(factor)
        state = WorkerState(
            worker=self.name,
            engine=engine.name,
            engine_version=engine.version,
            state=self._state,
            detail=(engine.progress if self._state == "loading" else "") or self._detail,
            languages=engine.languages,
            max_characters=dict(engine.max_characters),
            licence=engine.licence,
            sample_rate_hz=engine.sample_rate_hz,
            device=engine.device,
            slots=self._settings.worker_slots + self._settings.worker_express_slots,
            busy=len(self._work.busy),
            real_time_factor=factor,
            parameters=accepted_parameters(engine, self._settings.loudness_lufs),
            voices=engine.voices or UNSET,
            default_voices=dict(engine.default_voices) or UNSET,
            watermark=self._watermark(engine),
        )
        await publish_heartbeats(self._bus, subjects.worker_state(engine.name, self.name), state)

    def _watermark(self, engine: EngineDescription) -> str:
        """Return the watermark of the audio; an engine without a declared level gets none."""
        marked = self._settings.watermark == "on" and engine.level is not None
        return WATERMARK if marked else NO_WATERMARK

    def _log_progress(self, engine: EngineDescription) -> None:
        if engine.progress and engine.progress != self._progress:
            log.info("Loading model", engine=engine.name, progress=engine.progress)
        self._progress = engine.progress

    def _not_ready(self) -> str | None:
        if not self._bus.connected:
            return "not connected to NATS"
        return None if self._state == "ready" else self._detail
