"""Builds an edge and runs it until it is told to stop."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import structlog
from aiohttp import web

from services.common.bus import topology
from services.common.bus.connection import connected_bus
from services.common.bus.consumer import WorkLoop
from services.common.bus.ports import Bus
from services.common.bus.presence import splitters, workers
from services.common.runtime.lifecycle import every, tasks
from services.http_edge.admission import Admission
from services.http_edge.backlog import measure_queues
from services.http_edge.errors import CannotListen
from services.http_edge.fleet import Fleet
from services.http_edge.grace import Grace
from services.http_edge.intake import Intake
from services.http_edge.job_routes import JobRoutes
from services.http_edge.job_store import JobShelf, JobStore
from services.http_edge.jobs import JobWork
from services.http_edge.metrics import Metrics
from services.http_edge.middleware import around, part_when, tell_request_id
from services.http_edge.orders import Ordered, Orders
from services.http_edge.records import Records
from services.http_edge.reference import ReferenceDecoder
from services.http_edge.request_routes import RequestRoutes
from services.http_edge.routes import Routes
from services.http_edge.sentence_routes import SentenceRoutes
from services.http_edge.settings import Settings
from services.http_edge.speech import Speaker

log = structlog.get_logger()

_MEASURE_S: Final = 2.0
_SHUTDOWN_S: Final = 30.0  # streams that run get so long to end


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Connect to NATS and serve HTTP until `stop` is set. Raises BusUnavailable."""
    async with connected_bus(settings, name="http-edge") as bus:
        await serve(bus, settings, stop)


async def serve(bus: Bus, settings: Settings, stop: asyncio.Event) -> None:
    """Serve HTTP on this bus until `stop` is set."""
    async with ReferenceDecoder(settings.decoders) as decoder, edge(bus, decoder, settings, stop) as app:
        # handler_cancellation: a client that leaves ends its handler at once, and with it the work on the bus.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            await _listen(runner, settings)
            log.info("edge_ready", url=f"http://{settings.http_host}:{runner.addresses[0][1]}")
            await stop.wait()
            await asyncio.sleep(settings.http_drain_s)  # whoever sends clients here reads /readyz, and stops
        finally:
            await runner.cleanup()
    log.info("edge_stopped")


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    try:
        await web.TCPSite(runner, settings.http_host, settings.http_port).start()
    except OSError as error:
        place = f"{settings.http_host}:{settings.http_port}"
        raise CannotListen(
            f"cannot listen on {place} ({error.strerror}); choose another HTTP_PORT or HTTP_HOST"
        ) from None


@asynccontextmanager
async def edge(
    bus: Bus, decoder: ReferenceDecoder, settings: Settings, draining: asyncio.Event
) -> AsyncIterator[web.Application]:
    """Yield the edge's application, which follows workers and splitters while the block runs.

    Once `draining` is set it says that it is not ready, and asks every client to connect anew, but answers.
    """
    metrics, stop = Metrics(), asyncio.Event()
    fleet = Fleet(settings.engine, workers(bus), splitters(bus))
    admission = Admission(fleet, settings, metrics)

    async def measure() -> None:
        fleet.measure(metrics)
        admission.measure()
        await measure_queues(bus, settings.engine, metrics)

    app = web.Application(middlewares=[around(metrics, fleet)])
    app.on_response_prepare.append(tell_request_id)
    app.on_response_prepare.append(part_when(draining))
    async with tasks() as group:
        kept = Records(bus, topology.KEPT, settings.tenant)
        grace = Grace(bus, kept, settings.idempotency_grace_s, group, stop)
        parts = _Parts(bus, settings, metrics, fleet, admission)
        loop = _add_routes(app, parts, decoder, grace, draining)
        group.create_task(fleet.workers.follow(stop), name="workers")
        group.create_task(fleet.splitters.follow(stop), name="splitters")
        group.create_task(every(_MEASURE_S, measure, stop), name="measure")
        jobs = group.create_task(loop.run(draining), name="jobs")
        try:
            yield app
        finally:
            draining.set()  # jobs that run are handed back
            await jobs
            stop.set()


class _Parts(NamedTuple):
    """What everything in an edge works with."""

    bus: Bus
    settings: Settings
    metrics: Metrics
    fleet: Fleet
    admission: Admission


def _add_routes(
    app: web.Application, parts: _Parts, decoder: ReferenceDecoder, grace: Grace, draining: asyncio.Event
) -> WorkLoop:
    """Build the handlers; return the loop that sees jobs through."""
    (bus, settings, metrics, fleet, admission), kept = parts, grace.records
    job_records = Records(bus, topology.PROGRESS, settings.tenant)
    store = JobStore(bus, job_records)
    speaker = Speaker(bus, metrics, settings.first_audio_timeout_s)
    orders = Orders(
        fleet=fleet,
        admission=admission,
        intake=Intake(bus, decoder, settings, metrics),
        shelf=kept,
        metrics=metrics,
        settings=settings,
        free_seats=asyncio.Semaphore(settings.max_connections),
    )
    ordered = Ordered(
        speaker=speaker,
        records=kept,
        grace=grace,
        metrics=metrics,
        request_timeout_s=settings.request_timeout_s,
    )
    Routes(
        bus=bus,
        fleet=fleet,
        orders=orders,
        ordered=ordered,
        metrics=metrics,
        settings=settings,
        draining=draining,
    ).add_to(app)
    RequestRoutes(bus=bus, records=kept, speaker=speaker, metrics=metrics, settings=settings).add_to(app)
    SentenceRoutes(bus=bus, tenant=settings.tenant, shelves=(kept, job_records)).add_to(app)
    JobRoutes(
        bus=bus,
        store=store,
        orders=dataclasses.replace(orders, shelf=JobShelf(store), job=True),
        settings=settings,
        draining=draining,
    ).add_to(app)
    work = JobWork(bus=bus, store=store, records=job_records, speaker=speaker, metrics=metrics, stop=draining)
    return WorkLoop(bus, topology.jobs_consumer(), work, seats=settings.max_jobs)
