"""Builds an edge and runs it until it is stopped."""

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
from services.http_edge.http.middleware import (
    add_request_headers,
    close_connections_when,
    request_middleware,
)
from services.http_edge.http.normalize_routes import NormalizeRoutes
from services.http_edge.http.request_routes import RequestRoutes
from services.http_edge.http.sentence_routes import SentenceRoutes
from services.http_edge.http.server import serve_http
from services.http_edge.http.speech_routes import Routes
from services.http_edge.ingress import ClipIngress, RequestIngress, Responder
from services.http_edge.intake.acceptance import Acceptor
from services.http_edge.intake.clips import ClipIntake
from services.http_edge.intake.form import FormReader
from services.http_edge.intake.kinds import JobKind, SpeechKind
from services.http_edge.intake.reference import ReferenceDecoder
from services.http_edge.intake.running import RunningRequest
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
# whose services are cached; those of the least recently used are built again
_MOST_TENANTS: Final = 1024
_OPEN: Final = (
    "anyone who reaches this address can use the service; set API_KEYS_FILE, or HTTP_HOST=127.0.0.1"
)
_TENANT_RESULTS: Final = (
    0.5  # of the store, for one tenant's jobs; unless set, and if there are several tenants
)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Connect to NATS and serve HTTP until `stop` is set. Raises BusUnavailable."""
    if settings.open_to_all:
        log.warning("open_without_keys", host=settings.http_host, advice=_OPEN)
    async with connected_bus(settings, name="http-edge") as bus:
        await serve(bus, settings, stop)


async def serve(bus: Bus, settings: Settings, stop: asyncio.Event) -> None:
    """Serve HTTP on this bus until `stop` is set. Raises CannotListen, CannotReadKeys."""
    raise_limit()
    async with (
        ReferenceDecoder(settings.decoders) as decoder,
        edge(bus, decoder, settings, stop) as app,
    ):
        await serve_http(app, settings, stop)
    log.info("edge_stopped")


@asynccontextmanager
async def edge(
    bus: Bus, decoder: ReferenceDecoder, settings: Settings, draining: asyncio.Event
) -> AsyncIterator[web.Application]:
    """Yield the edge's application, which follows the heartbeats of workers and splitters while the block runs.

    Once `draining` is set, it reports that it is not ready and closes each connection after the response, but still
    answers. Raises CannotReadKeys.
    """
    metrics = Metrics()
    stop = asyncio.Event()
    metrics.bus_connected.set_function(lambda: float(bus.connected))
    fleet = Fleet(settings.engine, workers(bus), splitters(bus))
    admission = Admission(fleet, settings, metrics)

    async def measure() -> None:
        fleet.measure(metrics)
        admission.measure()
        await measure_queues(bus, settings.engine, metrics)

    async with tasks() as group:
        news = JobEvents(
            settings.max_job_streams, settings.max_job_streams_per_tenant, group, draining
        )
        parts = _Parts(
            bus, metrics, fleet, admission, Quota(bus), decoder, news, group, stop, draining
        )
        intake = ClipIntake(bus, decoder, settings, metrics)
        app, loop = _built(parts, settings, intake)
        group.create_task(fleet.workers.follow(stop), name="workers")
        group.create_task(fleet.splitters.follow(stop), name="splitters")
        group.create_task(every(_MEASURE_S, measure, stop), name="measure")
        group.create_task(news.wake_on_drain(), name="job-events")
        for responder in _responders(parts, settings, intake):
            group.create_task(responder.serve(draining), name=responder.subject)
        jobs = group.create_task(loop.run(draining), name="jobs")
        try:
            yield app
        finally:
            draining.set()  # running jobs are returned to the queue
            await jobs
            stop.set()


class _Parts(NamedTuple):
    """The components of an edge that do not depend on a tenant."""

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


class _Limits(NamedTuple):
    """The limits on bodies and concurrent requests that all tenants share."""

    free_slots: asyncio.Semaphore
    uploads: Uploads
    stored_quota: RequestQuota
    upload_owner: Callable[[web.Request], str]


class _TenantServices(NamedTuple):
    """The components that serve one tenant: they can read only that tenant's requests and jobs."""

    routes: Routes
    requests: RequestRoutes
    sentences: SentenceRoutes
    normalize: NormalizeRoutes
    jobs: JobRoutes
    work: JobWork


def _responders(
    parts: _Parts, settings: Settings, intake: ClipIntake
) -> tuple[Responder, Responder]:
    """Build the responders for tenants that use NATS directly."""

    def intake_of(tenant: str) -> ClipIntake:
        return dataclasses.replace(
            intake, settings=msgspec.structs.replace(settings, tenant=tenant)
        )

    requests = RequestIngress(
        parts.bus, parts.fleet, parts.admission, settings, parts.group, parts.stop
    )
    return (
        Responder(
            parts.bus,
            parts.metrics,
            subjects.INGRESS_REQUESTS,
            requests,
            limit_per_tenant=64,
            limit=512,
        ),
        Responder(
            parts.bus,
            parts.metrics,
            subjects.STORE_CLIPS,
            ClipIngress(intake_of),
            limit_per_tenant=4,
            limit=16,
        ),
    )


def _built(
    parts: _Parts, settings: Settings, intake: ClipIntake
) -> tuple[web.Application, WorkLoop]:
    """Build the application, and the loop that runs jobs."""
    limits = _Limits(
        asyncio.Semaphore(settings.max_connections),
        Uploads(settings),
        RequestQuota(settings.tenant_requests_bytes, topology.KEPT_S),
        upload_owner(Addresses(settings.trusted_proxies)),
    )

    @lru_cache(maxsize=_MOST_TENANTS)
    def services_for(tenant: str) -> _TenantServices:
        own = msgspec.structs.replace(settings, tenant=tenant)
        return _tenant_services(parts, own, dataclasses.replace(intake, settings=own), limits)

    def services_of(request: web.Request) -> _TenantServices:
        caller = caller_of(request)
        return services_for(settings.tenant if caller is None else caller.key.tenant)

    cors = CorsPolicy(settings.cors_origins)
    inner: list[Middleware] = [cors.preflight()]
    if (
        settings.api_keys_file
    ):  # a page of another site has no key, so the host name that it uses does not matter
        inner.append(guarding(ApiKeys(Path(settings.api_keys_file)), settings))
    else:
        inner.insert(0, naming(Hosts(settings.allowed_hosts)))
    # The outermost middleware turns the exceptions of the others into responses.
    unkeyed = None if settings.api_keys_file else settings.tenant
    app = web.Application(
        middlewares=[request_middleware(parts.metrics, parts.fleet, unkeyed), *inner]
    )
    app.on_response_prepare.extend(
        [add_request_headers, close_connections_when(parts.draining), cors.add_headers]
    )
    services_for(settings.tenant).routes.add_to(app)
    Routes.add_tenant_routes(app, lambda request: services_of(request).routes)
    RequestRoutes.add_to(app, lambda request: services_of(request).requests)
    SentenceRoutes.add_to(app, lambda request: services_of(request).sentences)
    NormalizeRoutes.add_to(app, lambda request: services_of(request).normalize)
    JobRoutes.add_to(app, lambda request: services_of(request).jobs)
    work = AllTenantsJobs(lambda tenant: services_for(tenant).work)
    return app, WorkLoop(parts.bus, topology.jobs_consumer(), work, slots=settings.max_jobs)


def _acceptors(
    parts: _Parts,
    settings: Settings,
    intake: ClipIntake,
    limits: _Limits,
    *,
    kept: RequestStore,
    store: JobStore,
) -> tuple[Acceptor, Acceptor]:
    """Build the acceptors of speech requests and of jobs."""
    speech = SpeechKind(
        store=kept,
        other=JobBucket(store),
        charges=UsageCharges(parts.bus, kept, parts.quota),
        timeout_s=settings.request_timeout_s,
        admission=parts.admission,
        stored_quota=limits.stored_quota,
    )
    jobs = JobKind(
        store=JobBucket(store),
        other=kept,
        charges=UsageCharges(parts.bus, store.records, parts.quota),
        timeout_s=settings.job_timeout_s,
    )
    reader = FormReader(limits.uploads, settings)

    acceptor = Acceptor(
        kind=speech,
        fleet=parts.fleet,
        intake=intake,
        metrics=parts.metrics,
        settings=settings,
        free_slots=limits.free_slots,
        reader=reader,
        upload_owner=limits.upload_owner,
    )
    return acceptor, dataclasses.replace(
        acceptor, kind=jobs, reader=dataclasses.replace(reader, job=True)
    )


def _results_quota(bus: Bus, settings: Settings) -> ResultsQuota:
    return ResultsQuota(
        bus,
        settings.tenant,
        settings.job_results_kept_s,
        settings.job_results_tenant_bytes,
        _TENANT_RESULTS if settings.api_keys_file else 1.0,
    )


def _tenant_services(
    parts: _Parts, settings: Settings, intake: ClipIntake, limits: _Limits
) -> _TenantServices:
    bus = parts.bus
    kept = RequestStore(bus, topology.KEPT, settings.tenant)
    job_records = RequestStore(bus, topology.PROGRESS, settings.tenant)
    store = JobStore(bus, job_records)
    speaker = SpeechSessions(
        bus, parts.metrics, settings.first_audio_timeout_s, settings.stream_ahead_s / 2
    )
    results_quota = _results_quota(bus, settings)

    acceptor, job_acceptor = _acceptors(parts, settings, intake, limits, kept=kept, store=store)
    charges = acceptor.kind.charges
    running = RunningRequest(
        speaker=speaker,
        records=kept,
        charges=charges,
        grace=DisconnectGrace(bus, kept, settings.idempotency_grace_s, parts.group, parts.stop),
        request_timeout_s=settings.request_timeout_s,
    )
    work = JobWork(
        bus=bus,
        store=store,
        records=job_records,
        requests=kept,
        charges=job_acceptor.kind.charges,
        results_quota=results_quota,
        speaker=speaker,
        metrics=parts.metrics,
        stop=parts.draining,
    )

    routes = Routes(
        bus=bus,
        fleet=parts.fleet,
        acceptor=acceptor,
        running=running,
        metrics=parts.metrics,
        settings=settings,
        draining=parts.draining,
        space=limits.uploads.space,
    )
    jobs = JobRoutes(
        bus=bus,
        store=store,
        results_quota=results_quota,
        work=work,
        acceptor=job_acceptor,
        job_events=parts.news,
        settings=settings,
        draining=parts.draining,
    )
    return _TenantServices(
        routes=routes,
        requests=RequestRoutes(
            bus=bus,
            store=kept,
            charges=charges,
            sessions=speaker,
            metrics=parts.metrics,
            settings=settings,
        ),
        sentences=SentenceRoutes(bus=bus, tenant=settings.tenant, stores=(kept, job_records)),
        normalize=NormalizeRoutes(
            bus=bus, settings=settings, reader=acceptor.reader, upload_owner=limits.upload_owner
        ),
        jobs=jobs,
        work=work,
    )
