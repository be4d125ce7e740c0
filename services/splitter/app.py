"""Builds a splitter and runs it until it is stopped."""

import asyncio
import secrets
from collections import deque
from collections.abc import Iterable
from itertools import chain
from typing import Final

import structlog

from services.common.bus import topology
from services.common.bus.cancels import Cancels
from services.common.bus.consumer import WorkLoop
from services.common.bus.heartbeats import HEARTBEAT_S, publish_heartbeats, workers
from services.common.bus.nats.connection import connected_bus
from services.common.bus.ports import Bus
from services.common.runtime.health import health_server
from services.common.runtime.lifecycle import every, tasks
from services.common.wire import subjects
from services.common.wire.identity import Identity
from services.common.wire.messages import SplitterState
from services.splitter.handler import RequestWork
from services.splitter.metrics import Metrics
from services.splitter.normalize_handler import NormalizeWork
from services.splitter.scheduling.backlog import Backlog
from services.splitter.scheduling.scheduler import Scheduler
from services.splitter.settings import Settings

log = structlog.get_logger()

# heartbeats that name a newly held request: one may be lost, or read late
_REPORTED_TIMES: Final = 5


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Connect to NATS and serve requests until `stop` is set. Raises BusUnavailable."""
    async with connected_bus(settings, name="splitter") as bus:
        await serve(bus, settings, stop)


async def serve(bus: Bus, settings: Settings, stop: asyncio.Event) -> None:
    """Serve requests on this bus until `stop` is set."""
    metrics = Metrics()
    backlog = Backlog()
    fleet = workers(bus)
    followers_stop = asyncio.Event()
    metrics.bus.follow(bus)
    scheduler = Scheduler(fleet, settings.splitter_ahead)
    taken = deque[tuple[Identity, ...]](maxlen=_REPORTED_TIMES)
    name = f"splitter-{secrets.token_hex(4)}"
    work = RequestWork(
        bus=bus,
        workers=fleet,
        cancels=Cancels(bus),
        backlog=backlog,
        metrics=metrics,
        scheduler=scheduler,
        stop=stop,
    )

    async def publish_state() -> None:
        scheduler.grant_all()
        taken.append(backlog.take_new())
        metrics.held.set(backlog.requests)
        metrics.queued_audio.set(backlog.remaining_s)
        state = SplitterState(
            splitter=name,
            requests=backlog.requests,
            queued_audio_s=backlog.remaining_s,
            due_audio_s=backlog.immediate_s(),
            taken=tuple(identity.id for identity in chain.from_iterable(taken)),
            taken_by=_by_tenant(chain.from_iterable(taken)),
            by_engine=backlog.by_engine(),
        )
        await publish_heartbeats(bus, subjects.splitter_state(name), state)

    def not_ready() -> str | None:
        return None if bus.connected else "NATS does not answer"

    loop = WorkLoop(bus, topology.requests_consumer(), work, slots=settings.splitter_requests)
    async with (
        health_server(
            settings.splitter_health_port,
            metrics.registry,
            not_ready,
            settings.splitter_health_host,
        ),
        tasks() as group,
    ):
        group.create_task(work.workers.follow(followers_stop), name="workers")
        group.create_task(work.cancels.follow(followers_stop), name="cancels")
        group.create_task(NormalizeWork(bus, fleet).serve(followers_stop), name="normalizing")
        group.create_task(every(HEARTBEAT_S, publish_state, followers_stop), name="state")
        log.info("splitter_ready", splitter=name)
        await loop.run(stop)
        followers_stop.set()
    await publish_state()  # the final state: no backlog
    log.info("splitter_stopped", splitter=name)


def _by_tenant(identities: Iterable[Identity]) -> dict[str, tuple[str, ...]]:
    """Return the request ids of each tenant."""
    found: dict[str, tuple[str, ...]] = {}
    for identity in identities:
        found[identity.tenant] = (*found.get(identity.tenant, ()), identity.id)
    return found
