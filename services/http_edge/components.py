"""Builds what serves the API: the stores, the acceptors, the routes and the runner of jobs.

Each exists once, and serves all tenants: the tenant of a request is an argument of its methods.
"""

import asyncio
import dataclasses
import time
from asyncio import TaskGroup
from collections.abc import Callable
from typing import Final, NamedTuple

from aiohttp import web

from services.common.bus import topology
from services.common.bus.library.quota import VoiceLimits
from services.common.bus.library.resolving import VoiceResolver
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.bus.provenance.search import ProvenanceSearch
from services.http_edge.api_document import DocumentRoutes
from services.http_edge.auth.quota import Quota
from services.http_edge.capacity.admission import Admission
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.encoders.tags import Tags
from services.http_edge.http.jobs.book_routes import BookRoutes
from services.http_edge.http.jobs.job_audio import JobAudio
from services.http_edge.http.jobs.job_routes import JobRoutes
from services.http_edge.http.jobs.list_routes import JobListRoutes
from services.http_edge.http.jobs.sentence_routes import JobSentenceRoutes
from services.http_edge.http.normalize_routes import NormalizeRoutes
from services.http_edge.http.openai.openai_routes import OpenAiRoutes
from services.http_edge.http.provenance_routes import ProvenanceRoutes
from services.http_edge.http.requests.request_routes import RequestRoutes
from services.http_edge.http.requests.sentence_routes import SentenceRoutes
from services.http_edge.http.requests.storing_routes import StoringRoutes
from services.http_edge.http.requests.subtitle_routes import SubtitleRoutes
from services.http_edge.http.signed_files import SignedFiles
from services.http_edge.http.speech_routes import Routes
from services.http_edge.http.voice_routes import VoiceRoutes
from services.http_edge.intake.acceptance import Acceptor
from services.http_edge.intake.clips import ClipIntake
from services.http_edge.intake.forms.body import BodyReader
from services.http_edge.intake.forms.form import FormReader
from services.http_edge.intake.forms.uploads import Uploads
from services.http_edge.intake.kinds import JobKind, SpeechKind
from services.http_edge.intake.openai.openai_body import OpenAiReader
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from services.http_edge.intake.running import RunningRequest
from services.http_edge.intake.voice import VoiceSelector
from services.http_edge.jobs.events import JobEvents
from services.http_edge.jobs.finished_requests import FinishedRequests
from services.http_edge.jobs.job_list import JobList
from services.http_edge.jobs.redo import Redo
from services.http_edge.jobs.results import JobResults
from services.http_edge.jobs.results_quota import ResultsQuota
from services.http_edge.jobs.runner import JobWork
from services.http_edge.jobs.store import JobBucket, JobStore
from services.http_edge.metrics import Metrics
from services.http_edge.provenance.form_reader import ProvenanceFormReader
from services.http_edge.settings import Settings
from services.http_edge.speech.disconnect_grace import DisconnectGrace
from services.http_edge.speech.request_quota import RequestQuota
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.speech.session import SpeechSessions
from services.http_edge.speech.usage.metering import UsageCharges
from services.http_edge.voices.files import VoiceFiles
from services.http_edge.voices.form_reader import VoiceFormReader
from services.http_edge.voices.one_off import OneOffVoices
from services.http_edge.voices.previews import Previews

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
        voices=VoiceSelector(VoiceResolver(_library(parts.bus, settings)), parts.fleet),
        free_slots=limits.free_slots,
        reader=reader,
        upload_owner=limits.upload_owner,
    )
    return acceptor, dataclasses.replace(
        acceptor, kind=job, reader=dataclasses.replace(reader, job=True)
    )


def _library(bus: Bus, settings: Settings) -> VoiceLibrary:
    return VoiceLibrary(bus, VoiceLimits(settings.tenant_voices, settings.tenant_voices_bytes))


def _results_quota(bus: Bus, settings: Settings) -> ResultsQuota:
    return ResultsQuota(
        bus,
        settings.job_results_kept_s,
        settings.job_results_tenant_bytes,
        _TENANT_RESULTS if settings.api_keys_file else 1.0,
    )


def _add_text_routes(
    app: web.Application,
    bus: Bus,
    settings: Settings,
    limits: SharedLimits,
    *,
    requests: RequestStore,
    jobs: JobStore,
) -> None:
    """Register the paths about texts: their sentences, subtitles and normalization."""
    SentenceRoutes(bus=bus, jobs=jobs, stores=(requests, jobs.records)).add_to(app)
    SubtitleRoutes(bus=bus, requests=requests, jobs=jobs).add_to(app)
    NormalizeRoutes(
        bus=bus,
        settings=settings,
        reader=FormReader(limits.uploads, settings),
        upload_owner=limits.upload_owner,
    ).add_to(app)


def add_routes(
    app: web.Application,
    parts: Parts,
    settings: Settings,
    intake: ClipIntake,
    limits: SharedLimits,
) -> JobWork:
    """Register every path of the API; return what runs jobs."""
    bus = parts.bus
    metrics = parts.metrics
    requests = RequestStore(bus, topology.KEPT)
    jobs = JobStore(bus, RequestStore(bus, topology.PROGRESS))
    sessions = SpeechSessions(
        bus, metrics, settings.first_audio_timeout_s, settings.stream_ahead_s / 2
    )
    acceptor, job_acceptor = _acceptors(
        parts, settings, intake, limits, requests=requests, jobs=jobs
    )
    charges = acceptor.kind.charges

    running = _running(parts, settings, requests, charges, sessions)
    state = Routes(
        bus=bus,
        fleet=parts.fleet,
        acceptor=acceptor,
        running=running,
        metrics=metrics,
        settings=settings,
        draining=parts.draining,
        space=limits.uploads.space,
        files=parts.files,
    )
    state.add_to(app)
    DocumentRoutes(settings, state).add_to(app)
    openai_acceptor = dataclasses.replace(
        acceptor, reader=OpenAiReader(limits.uploads, settings, parts.fleet)
    )
    _add_openai_routes(app, parts, settings, openai_acceptor, running)
    RequestRoutes(
        bus=bus,
        store=requests,
        charges=charges,
        sessions=sessions,
        metrics=metrics,
        settings=settings,
    ).add_to(app)
    _add_text_routes(app, bus, settings, limits, requests=requests, jobs=jobs)
    _add_voice_routes(app, parts, settings, limits, sessions)
    ProvenanceRoutes(
        ProvenanceFormReader(limits.uploads, settings, limits.upload_owner),
        parts.decoder,
        ProvenanceSearch(bus),
        _library(bus, settings),
        metrics,
    ).add_to(app)
    results = JobResults(jobs, job_acceptor.kind.charges, _results_quota(bus, settings))
    _add_job_routes(app, parts, settings, job_acceptor, results)
    _add_storing_routes(app, settings, limits, requests, results)
    redo = Redo(
        jobs,
        results.quota,
        charges,
        sessions,
        parts.admission,
        parts.fleet,
        settings.first_audio_timeout_s,
    )
    _add_edit_routes(app, settings, limits, redo, parts.files)
    return JobWork(
        bus=bus,
        results=results,
        requests=requests,
        speaker=sessions,
        metrics=metrics,
        stop=parts.draining,
        fleet=parts.fleet,
    )


def _add_storing_routes(
    app: web.Application,
    settings: Settings,
    limits: SharedLimits,
    requests: RequestStore,
    results: JobResults,
) -> None:
    """Register the path that stores finished requests as jobs."""
    StoringRoutes(
        FinishedRequests(results.store.bus, requests, results.store, results.quota),
        BodyReader(limits.uploads, settings.upload_idle_timeout_s),
        limits.upload_owner,
        settings,
    ).add_to(app)


def _add_edit_routes(
    app: web.Application,
    settings: Settings,
    limits: SharedLimits,
    redo: Redo,
    files: SignedFiles,
) -> None:
    """Register the paths of what is made from finished jobs: audio books, and replaced sentences."""
    BookRoutes(redo.store, limits.uploads.space, settings, files).add_to(app)
    JobSentenceRoutes(redo.store, redo, limits.uploads, limits.upload_owner, settings).add_to(app)


def _add_openai_routes(
    app: web.Application,
    parts: Parts,
    settings: Settings,
    acceptor: Acceptor,
    running: RunningRequest,
) -> None:
    OpenAiRoutes(
        acceptor=acceptor,
        running=running,
        fleet=parts.fleet,
        library=_library(parts.bus, settings),
        metrics=parts.metrics,
        settings=settings,
        files=parts.files,
        began_unix_s=time.time(),
    ).add_to(app)


def _add_job_routes(
    app: web.Application,
    parts: Parts,
    settings: Settings,
    acceptor: Acceptor,
    results: JobResults,
) -> None:
    JobListRoutes(JobList(parts.bus), results.store, settings).add_to(app)
    JobRoutes(
        bus=parts.bus,
        results=results,
        acceptor=acceptor,
        job_events=parts.news,
        job_audio=JobAudio(results.store, parts.news, settings, parts.draining),
        settings=settings,
        draining=parts.draining,
    ).add_to(app)


def _add_voice_routes(
    app: web.Application,
    parts: Parts,
    settings: Settings,
    limits: SharedLimits,
    sessions: SpeechSessions,
) -> None:
    library = _library(parts.bus, settings)
    VoiceRoutes(
        library=library,
        resolver=VoiceResolver(library),
        fleet=parts.fleet,
        reader=VoiceFormReader(limits.uploads, settings, limits.upload_owner),
        decoder=parts.decoder,
        previews=Previews(
            bus=parts.bus,
            fleet=parts.fleet,
            admission=parts.admission,
            library=library,
            sessions=sessions,
            timeout_s=settings.first_audio_timeout_s,
            group=parts.group,
        ),
        files=VoiceFiles(library, settings.voice_consent == "required"),
        one_off=OneOffVoices(parts.bus),
        metrics=parts.metrics,
        preview_tags=Tags.of(settings, engine=settings.engine),
        listener_timeout_s=settings.listener_timeout_s,
    ).add_to(app)


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
