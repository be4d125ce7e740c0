"""Builds an edge and runs it until it is told to stop."""

import asyncio
import dataclasses
from asyncio import TaskGroup
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from services.common.bus import topology
from services.common.bus.consumer import WorkLoop
from services.common.bus.heartbeats import splitters, workers
from services.common.bus.nats.connection import connected_bus
from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import every, tasks
from services.common.wire import subjects
from services.http_edge.auth.api_keys import ApiKeys
from services.http_edge.auth.guard import CorsPolicy, caller_of, guarding, naming, upload_owner
from services.http_edge.auth.quota import Quota
from services.http_edge.capacity.admission import Admission
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.capacity.queue_metrics import measure_queues
from services.http_edge.http.job_routes import JobRoutes
from services.http_edge.http.middleware import around, part_when, tell_request_id
from services.http_edge.http.normalize_routes import NormalizeRoutes
from services.http_edge.http.request_routes import RequestRoutes
from services.http_edge.http.sentence_routes import SentenceRoutes
from services.http_edge.http.server import serve_http
from services.http_edge.http.speech_routes import Routes
from services.http_edge.ingress import ClipIngress, RequestIngress, Responder
from services.http_edge.intake.acceptance import Acceptor, RunningRequest
from services.http_edge.intake.clips import ClipIntake
from services.http_edge.intake.form import FormReader
from services.http_edge.intake.reference import ReferenceDecoder
from services.http_edge.intake.uploads import Uploads
from services.http_edge.jobs.events import JobEvents
from services.http_edge.jobs.results_quota import ResultsQuota
from services.http_edge.jobs.runner import AllTenantsJobs, JobWork
from services.http_edge.jobs.store import JobBucket, JobStore
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from services.http_edge.speech.disconnect_grace import DisconnectGrace
from services.http_edge.speech.metering import UsageCharges
from services.http_edge.speech.request_quota import RequestQuota
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.session import SpeechSessions
from services.http_edge.transport.connections import Addresses
from services.http_edge.transport.file_descriptors import raise_limit
from services.http_edge.transport.host_names import Hosts

log = structlog.get_logger()

_MEASURE_S: Final = 2.0
_MOST_TENANTS: Final = 1024  # served at once; those who were longest away are built anew when they come
_OPEN: Final = "anyone who reaches this address may use the service; set API_KEYS_FILE, or HTTP_HOST=127.0.0.1"
_TENANT_RESULTS: Final = 0.5  # of the store, for the jobs of one tenant, where there are several and nothing is set


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Connect to NATS and serve HTTP until `stop` is set. Raises BusUnavailable."""
    if settings.open_to_all:
        log.warning("open_without_keys", host=settings.http_host, advice=_OPEN)
    async with connected_bus(settings, name="http-edge") as bus:
        await serve(bus, settings, stop)


async def serve(bus: Bus, settings: Settings, stop: asyncio.Event) -> None:
    """Serve HTTP on this bus until `stop` is set. Raises CannotListen, CannotReadKeys."""
    raise_limit()
    async with ReferenceDecoder(settings.decoders) as decoder, edge(bus, decoder, settings, stop) as app:
        await serve_http(app, settings, stop)
    log.info("edge_stopped")


@asynccontextmanager
async def edge(
    bus: Bus, decoder: ReferenceDecoder, settings: Settings, draining: asyncio.Event
) -> AsyncIterator[web.Application]:
    """Yield the edge's application, which follows workers and splitters while the block runs.

    Once `draining` is set it says that it is not ready, and asks every client to connect anew, but answers.
    Raises CannotReadKeys.
    """
    metrics, stop = Metrics(), asyncio.Event()
    metrics.bus_connected.set_function(lambda: float(bus.connected))
    fleet = Fleet(settings.engine, workers(bus), splitters(bus))
    admission = Admission(fleet, settings, metrics)

    async def measure() -> None:
        fleet.measure(metrics)
        admission.measure()
        await measure_queues(bus, settings.engine, metrics)

    async with tasks() as group:
        news = JobEvents(settings.max_job_streams, settings.max_job_streams_per_tenant, group, draining)
        parts = _Parts(bus, metrics, fleet, admission, Quota(bus), decoder, news, group, stop, draining)
        intake = ClipIntake(bus, decoder, settings, metrics)
        app, loop = _built(parts, settings, intake)
        group.create_task(fleet.workers.follow(stop), name="workers")
        group.create_task(fleet.splitters.follow(stop), name="splitters")
        group.create_task(every(_MEASURE_S, measure, stop), name="measure")
        group.create_task(news.wake_on_drain(), name="job-events")
        for serving in _doors(parts, settings, intake):
            group.create_task(serving.serve(draining), name=serving.subject)
        jobs = group.create_task(loop.run(draining), name="jobs")
        try:
            yield app
        finally:
            draining.set()  # jobs that run are handed back
            await jobs
            stop.set()


class _Parts(NamedTuple):
    """What everything in an edge works with, whosever request it is."""

    bus: Bus
    metrics: Metrics
    fleet: Fleet
    admission: Admission
    quota: Quota
    decoder: ReferenceDecoder
    news: JobEvents
    group: TaskGroup
    stop: asyncio.Event
    draining: asyncio.Event


class _Entrance(NamedTuple):
    """What all tenants share of an edge that reads bodies and speaks."""

    free_seats: asyncio.Semaphore
    uploads: Uploads
    kept_room: RequestQuota
    upload_owner: Callable[[web.Request], str]


class _Desk(NamedTuple):
    """What serves one tenant: it sees that tenant's requests and jobs, and no other's."""

    routes: Routes
    requests: RequestRoutes
    sentences: SentenceRoutes
    normalize: NormalizeRoutes
    jobs: JobRoutes
    work: JobWork


def _doors(parts: _Parts, settings: Settings, intake: ClipIntake) -> tuple[Responder, Responder]:
    """Build what answers tenants that use NATS directly."""

    def intake_of(tenant: str) -> ClipIntake:
        return dataclasses.replace(intake, settings=msgspec.structs.replace(settings, tenant=tenant))

    requests = RequestIngress(parts.bus, parts.fleet, parts.admission, settings, parts.group, parts.stop)
    return (
        Responder(parts.bus, parts.metrics, subjects.INGRESS_REQUESTS, requests, at_once=64, in_all=512),
        Responder(parts.bus, parts.metrics, subjects.STORE_CLIPS, ClipIngress(intake_of), at_once=4, in_all=16),
    )


def _built(parts: _Parts, settings: Settings, intake: ClipIntake) -> tuple[web.Application, WorkLoop]:
    """Build the application, and the loop that sees jobs through."""
    entrance = _Entrance(
        asyncio.Semaphore(settings.max_connections),
        Uploads(settings),
        RequestQuota(settings.tenant_requests_bytes, topology.KEPT_S),
        upload_owner(Addresses(settings.trusted_proxies)),
    )

    @lru_cache(maxsize=_MOST_TENANTS)
    def desk(tenant: str) -> _Desk:
        own = msgspec.structs.replace(settings, tenant=tenant)
        return _desk(parts, own, dataclasses.replace(intake, settings=own), entrance)

    def asked(request: web.Request) -> _Desk:
        caller = caller_of(request)
        return desk(settings.tenant if caller is None else caller.key.tenant)

    browsers = CorsPolicy(settings.cors_origins)
    inner: list[Middleware] = [browsers.preflight()]
    if settings.api_keys_file:  # no other site's page has a key, so whatever name it calls the service by is harmless
        inner.append(guarding(ApiKeys(Path(settings.api_keys_file)), settings))
    else:
        inner.insert(0, naming(Hosts(settings.allowed_hosts)))
    # The outermost turns the refusals of the others into answers.
    unkeyed = None if settings.api_keys_file else settings.tenant
    app = web.Application(middlewares=[around(parts.metrics, parts.fleet, unkeyed), *inner])
    app.on_response_prepare.extend([tell_request_id, part_when(parts.draining), browsers.tell])
    desk(settings.tenant).routes.add_to(app)
    Routes.add_speaking(app, lambda request: asked(request).routes)
    RequestRoutes.add_to(app, lambda request: asked(request).requests)
    SentenceRoutes.add_to(app, lambda request: asked(request).sentences)
    NormalizeRoutes.add_to(app, lambda request: asked(request).normalize)
    JobRoutes.add_to(app, lambda request: asked(request).jobs)
    work = AllTenantsJobs(lambda tenant: desk(tenant).work)
    return app, WorkLoop(parts.bus, topology.jobs_consumer(), work, seats=settings.max_jobs)


def _orders(
    parts: _Parts, settings: Settings, intake: ClipIntake, entrance: _Entrance, *, kept: RequestStore, store: JobStore
) -> Acceptor:
    """Build what takes requests that are no jobs."""
    return Acceptor(
        fleet=parts.fleet,
        admission=parts.admission,
        charges=UsageCharges(parts.bus, kept, parts.quota),
        kept_room=entrance.kept_room,
        intake=intake,
        shelf=kept,
        other=JobBucket(store),
        metrics=parts.metrics,
        settings=settings,
        free_seats=entrance.free_seats,
        reader=FormReader(entrance.uploads, settings),
        upload_owner=entrance.upload_owner,
    )


def _job_room(bus: Bus, settings: Settings) -> ResultsQuota:
    return ResultsQuota(
        bus,
        settings.tenant,
        settings.job_results_kept_s,
        settings.job_results_tenant_bytes,
        _TENANT_RESULTS if settings.api_keys_file else 1.0,
    )


def _desk(parts: _Parts, settings: Settings, intake: ClipIntake, entrance: _Entrance) -> _Desk:
    bus, metrics, draining = parts.bus, parts.metrics, parts.draining
    kept = RequestStore(bus, topology.KEPT, settings.tenant)
    job_records = RequestStore(bus, topology.PROGRESS, settings.tenant)
    store = JobStore(bus, job_records)
    job_charges = UsageCharges(bus, job_records, parts.quota)
    speaker = SpeechSessions(bus, metrics, settings.first_audio_timeout_s, settings.stream_ahead_s / 2)
    orders = _orders(parts, settings, intake, entrance, kept=kept, store=store)
    ordered = RunningRequest(
        speaker=speaker,
        records=kept,
        charges=orders.charges,
        grace=DisconnectGrace(bus, kept, settings.idempotency_grace_s, parts.group, parts.stop),
        metrics=metrics,
        request_timeout_s=settings.request_timeout_s,
    )
    room = _job_room(bus, settings)
    work = JobWork(
        bus=bus,
        store=store,
        records=job_records,
        requests=kept,
        charges=job_charges,
        results_quota=room,
        speaker=speaker,
        metrics=metrics,
        stop=draining,
    )
    return _Desk(
        routes=Routes(
            bus=bus,
            fleet=parts.fleet,
            orders=orders,
            ordered=ordered,
            metrics=metrics,
            settings=settings,
            draining=draining,
            space=entrance.uploads.space,
        ),
        requests=RequestRoutes(
            bus=bus, records=kept, charges=orders.charges, speaker=speaker, metrics=metrics, settings=settings
        ),
        sentences=SentenceRoutes(bus=bus, tenant=settings.tenant, shelves=(kept, job_records)),
        normalize=NormalizeRoutes(bus=bus, settings=settings, reader=orders.reader, upload_owner=entrance.upload_owner),
        jobs=JobRoutes(
            bus=bus,
            store=store,
            room=room,
            work=work,
            orders=dataclasses.replace(
                orders,
                shelf=JobBucket(store),
                other=kept,
                charges=job_charges,
                job=True,
                reader=dataclasses.replace(orders.reader, job=True),
            ),
            news=parts.news,
            settings=settings,
            draining=draining,
        ),
        work=work,
    )
