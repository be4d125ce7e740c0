"""Builds what serves the API: the stores, the acceptors and the runner of jobs.

Each exists once, and serves all tenants: the tenant of a request is an argument of its methods.
"""

import asyncio
import dataclasses
from asyncio import TaskGroup
from collections.abc import Callable
from typing import Final, NamedTuple

from aiohttp import web

from services.common.bus import topology
from services.common.bus.library.quota import VoiceLimits
from services.common.bus.library.resolving import VoiceResolver
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.http_edge.auth.quota import Quota
from services.http_edge.capacity.admission import Admission
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.http.signed_files import SignedFiles
from services.http_edge.intake.acceptance import Acceptor
from services.http_edge.intake.clips import ClipIntake
from services.http_edge.intake.forms.form import FormReader
from services.http_edge.intake.forms.uploads import Uploads
from services.http_edge.intake.kinds import JobKind, SpeechKind
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from services.http_edge.intake.running import RunningRequest
from services.http_edge.intake.voice import VoiceSelector
from services.http_edge.jobs.events import JobEvents
from services.http_edge.jobs.results import JobResults
from services.http_edge.jobs.results_quota import ResultsQuota
from services.http_edge.jobs.runner import JobWork
from services.http_edge.jobs.store import JobBucket, JobStore
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings
from services.http_edge.speech.disconnect_grace import DisconnectGrace
from services.http_edge.speech.request_quota import RequestQuota
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.session import SpeechSessions
from services.http_edge.speech.usage.metering import UsageCharges

# of the store, for the jobs of one tenant; unless set, and if there are several tenants
_TENANT_RESULTS: Final = 0.5


class Parts(NamedTuple):
    """The components of an edge that others are built from."""

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
    files: SignedFiles


class SharedLimits(NamedTuple):
    """The limits on bodies and concurrent requests that all tenants share."""

    free_slots: asyncio.Semaphore
    uploads: Uploads
    stored_quota: RequestQuota
    upload_owner: Callable[[web.Request], str]


def _acceptors(
    parts: Parts,
    settings: Settings,
    intake: ClipIntake,
    limits: SharedLimits,
    *,
    requests: RequestStore,
    jobs: JobStore,
) -> tuple[Acceptor, Acceptor]:
    """Build the acceptors of speech requests and of jobs."""
    speech = SpeechKind(
        store=requests,
        other=JobBucket(jobs),
        charges=UsageCharges.of(parts.bus, requests, parts.quota),
        timeout_s=settings.request_timeout_s,
        admission=parts.admission,
        stored_quota=limits.stored_quota,
    )
    job = JobKind(
        store=JobBucket(jobs),
        other=requests,
        charges=UsageCharges.of(parts.bus, jobs.records, parts.quota),
        timeout_s=settings.job_timeout_s,
    )
    reader = FormReader(limits.uploads, settings)
    acceptor = Acceptor(
        kind=speech,
        fleet=parts.fleet,
        intake=intake,
        metrics=parts.metrics,
        settings=settings,
        voices=VoiceSelector(VoiceResolver(library_of(parts.bus, settings)), parts.fleet),
        free_slots=limits.free_slots,
        reader=reader,
        upload_owner=limits.upload_owner,
    )
    return acceptor, dataclasses.replace(
        acceptor, kind=job, reader=dataclasses.replace(reader, job=True)
    )


def library_of(bus: Bus, settings: Settings) -> VoiceLibrary:
    """Return the voice library with the limits of a tenant."""
    return VoiceLibrary(bus, VoiceLimits(settings.tenant_voices, settings.tenant_voices_bytes))


def _results_quota(bus: Bus, settings: Settings) -> ResultsQuota:
    return ResultsQuota(
        bus,
        settings.job_results_kept_s,
        settings.job_results_tenant_bytes,
        _TENANT_RESULTS if settings.api_keys_file else 1.0,
    )


def _running(
    parts: Parts,
    settings: Settings,
    requests: RequestStore,
    charges: UsageCharges,
    sessions: SpeechSessions,
) -> RunningRequest:
    return RunningRequest(
        speaker=sessions,
        records=requests,
        charges=charges,
        grace=DisconnectGrace(
            parts.bus, requests, settings.idempotency_grace_s, parts.group, parts.stop
        ),
        request_timeout_s=settings.request_timeout_s,
    )


class Components(NamedTuple):
    """The stores, acceptors and sessions that the routes share."""

    requests: RequestStore
    sessions: SpeechSessions
    acceptor: Acceptor
    job_acceptor: Acceptor
    charges: UsageCharges
    running: RunningRequest
    results: JobResults

    @property
    def jobs(self) -> JobStore:
        """The store of jobs."""
        return self.results.store


def build(parts: Parts, settings: Settings, intake: ClipIntake, limits: SharedLimits) -> Components:
    """Build the components of an edge."""
    bus = parts.bus
    requests = RequestStore(bus, topology.KEPT)
    jobs = JobStore(bus, RequestStore(bus, topology.PROGRESS))
    sessions = SpeechSessions(
        bus, parts.metrics, settings.first_audio_timeout_s, settings.stream_ahead_s / 2
    )
    acceptor, job_acceptor = _acceptors(
        parts, settings, intake, limits, requests=requests, jobs=jobs
    )
    charges = acceptor.kind.charges
    return Components(
        requests=requests,
        sessions=sessions,
        acceptor=acceptor,
        job_acceptor=job_acceptor,
        charges=charges,
        running=_running(parts, settings, requests, charges, sessions),
        results=JobResults(jobs, job_acceptor.kind.charges, _results_quota(bus, settings)),
    )


def job_work(parts: Parts, built: Components) -> JobWork:
    """Return what runs jobs."""
    return JobWork(
        bus=parts.bus,
        results=built.results,
        requests=built.requests,
        speaker=built.sessions,
        metrics=parts.metrics,
        stop=parts.draining,
        fleet=parts.fleet,
    )
