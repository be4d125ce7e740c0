"""Builds an edge and runs it until it is stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from services.common.bus import topology
from services.common.bus.consumer import WorkLoop
from services.common.bus.heartbeats import splitters, workers
from services.common.bus.library.quota import VoiceLimits
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.nats.connection import connected_bus
from services.common.bus.ports import Bus
from services.common.runtime.health import health_server
from services.common.runtime.lifecycle import every, tasks
from services.common.wire import subjects
from services.http_edge.auth.api_keys import ApiKeys
from services.http_edge.auth.guard import CorsPolicy, guarding, naming, upload_owner
from services.http_edge.auth.quota import Quota
from services.http_edge.auth.signed_urls import UrlSecrets
from services.http_edge.capacity.admission import Admission
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.capacity.queue_metrics import measure_queues, measure_storage
from services.http_edge.components import Parts, SharedLimits, build, job_work
from services.http_edge.credentials.signing import content_credentials
from services.http_edge.http.canonical_paths import canonical_paths
from services.http_edge.http.file_names import add_file_name
from services.http_edge.http.middleware import (
    add_request_headers,
    close_connections_when,
    request_middleware,
)
from services.http_edge.http.queries import checked_queries
from services.http_edge.http.requests.signing_routes import SigningRoutes
from services.http_edge.http.server import serve_http
from services.http_edge.http.signed_files import SignedFiles, add_header
from services.http_edge.ingress import ClipIngress, RequestIngress, Responder, VoiceIngress
from services.http_edge.intake.clips import ClipIntake
from services.http_edge.intake.forms.body import BodyReader
from services.http_edge.intake.forms.uploads import Uploads
from services.http_edge.intake.language import preload
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from services.http_edge.jobs.events import JobEvents
from services.http_edge.metrics import Metrics
from services.http_edge.routes import add_routes
from services.http_edge.settings import Settings
from services.http_edge.speech.request_quota import RequestQuota
from services.http_edge.transport.connections import Addresses
from services.http_edge.transport.file_descriptors import raise_limit
from services.http_edge.transport.host_names import AllowedHosts
from services.http_edge.voices.retention import VoiceRetention

log = structlog.get_logger()

_MEASURE_S: Final = 2.0
_MEASURE_STORAGE_S: Final = 10.0
_OPEN: Final = (
    "anyone who reaches this address can use the service; set API_KEYS_FILE, or HTTP_HOST=127.0.0.1"
)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Connect to NATS and serve HTTP until `stop` is set. Raises BusUnavailable."""
    if settings.open_to_all:
        log.warning("open_without_keys", host=settings.http_host, advice=_OPEN)
    async with connected_bus(settings, name="http-edge") as bus:
        await serve(bus, settings, stop)


async def serve(bus: Bus, settings: Settings, stop: asyncio.Event) -> None:
    """Serve HTTP on this bus until `stop` is set. Raises AddressUnavailable, CannotReadKeys, CannotReadSecrets."""
    raise_limit()
    async with (
        ReferenceDecoder(settings.decoders) as decoder,
        edge(bus, decoder, settings, stop) as app,
    ):
        if settings.preload_languages:
            await asyncio.to_thread(preload)
        await serve_http(app, settings, stop)
    log.info("edge_stopped")


@asynccontextmanager
async def edge(
    bus: Bus, decoder: ReferenceDecoder, settings: Settings, draining: asyncio.Event
) -> AsyncIterator[web.Application]:
    """Yield the edge's application, which follows the heartbeats of workers and splitters while the block runs.

    Once `draining` is set, it reports that it is not ready and closes each connection after the response, but still
    answers. Raises CannotReadKeys, CannotReadSecrets, CannotReadCertificate.
    """
    metrics = Metrics()
    files = SignedFiles(content_credentials(settings))
    stop = asyncio.Event()
    metrics.bus.follow(bus)
    fleet = Fleet(settings.engine, workers(bus), splitters(bus))
    admission = Admission(fleet, settings, metrics)

    async def measure() -> None:
        fleet.measure(metrics)
        admission.measure()
        await measure_queues(bus, settings.engine, metrics)

    async def measure_stores() -> None:
        await measure_storage(bus, metrics)

    async with (
        health_server(
            settings.http_metrics_port,
            metrics.registry,
            fleet.why_not_ready,
            settings.http_host,
            advice="choose another HTTP_METRICS_PORT",
        ),
        tasks() as group,
    ):
        news = JobEvents(
            settings.max_job_streams, settings.max_job_streams_per_tenant, group, draining
        )
        parts = Parts(
            bus, metrics, fleet, admission, Quota(bus), decoder, news, group, stop, draining, files
        )
        intake = ClipIntake(bus, decoder, settings, metrics)
        app, loop = _application(parts, settings, intake)
        group.create_task(fleet.workers.follow(stop), name="workers")
        group.create_task(fleet.splitters.follow(stop), name="splitters")
        group.create_task(every(_MEASURE_S, measure, stop), name="measure")
        group.create_task(every(_MEASURE_STORAGE_S, measure_stores, stop), name="measure-storage")
        group.create_task(news.wake_on_drain(), name="job-events")
        retention = VoiceRetention(VoiceLibrary(bus), settings.voices_kept_days)
        group.create_task(retention.run(stop), name="voice-retention")
        for responder in _responders(parts, settings, intake):
            group.create_task(responder.serve(draining), name=responder.subject)
        jobs = group.create_task(loop.run(draining), name="jobs")
        try:
            yield app
        finally:
            draining.set()  # running jobs are returned to the queue
            await jobs
            stop.set()


def _responders(parts: Parts, settings: Settings, intake: ClipIntake) -> tuple[Responder, ...]:
    """Build the responders for tenants that use NATS directly."""
    requests = RequestIngress(
        parts.bus, parts.fleet, parts.admission, settings, parts.group, parts.stop
    )
    limits = VoiceLimits(settings.tenant_voices, settings.tenant_voices_bytes)
    voices = VoiceIngress(
        VoiceLibrary(parts.bus, limits), parts.fleet, settings.voice_consent == "required"
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
            ClipIngress(intake),
            limit_per_tenant=4,
            limit=16,
        ),
        Responder(
            parts.bus,
            parts.metrics,
            subjects.VOICES,
            voices,
            limit_per_tenant=4,
            limit=32,
        ),
    )


def _application(
    parts: Parts, settings: Settings, intake: ClipIntake
) -> tuple[web.Application, WorkLoop]:
    """Build the application, and the loop that runs jobs."""
    limits = SharedLimits(
        asyncio.Semaphore(settings.max_connections),
        Uploads(settings),
        RequestQuota(settings.tenant_requests_bytes, topology.KEPT_S),
        upload_owner(Addresses(settings.trusted_proxies)),
    )

    cors = CorsPolicy(settings.cors_origins)
    inner: list[Middleware] = [cors.preflight(), canonical_paths()]
    # A page of another site has no key, so the host name that it uses does not matter.
    secrets = UrlSecrets(Path(settings.url_secrets_file)) if settings.url_secrets_file else None
    if settings.api_keys_file:
        inner.append(guarding(ApiKeys(Path(settings.api_keys_file)), settings, secrets))
    else:
        inner.insert(0, naming(AllowedHosts(settings.allowed_hosts)))
    inner.append(checked_queries())
    # The outermost middleware turns the exceptions of the others into responses.
    unkeyed = None if settings.api_keys_file else settings.tenant
    app = web.Application(
        middlewares=[request_middleware(parts.metrics, parts.fleet, unkeyed), *inner]
    )
    app.on_response_prepare.extend(
        [
            add_request_headers,
            add_file_name,
            add_header(parts.files),
            close_connections_when(parts.draining),
            cors.add_headers,
        ]
    )
    built = build(parts, settings, intake, limits)
    add_routes(app, parts, settings, limits, built)
    work = job_work(parts, built)
    reader = BodyReader(limits.uploads, settings.upload_idle_timeout_s)
    SigningRoutes(secrets, reader, limits.upload_owner).add_to(app)
    return app, WorkLoop(parts.bus, topology.jobs_consumer(), work, slots=settings.max_jobs)
