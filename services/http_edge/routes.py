"""Registers every path of the API."""

import dataclasses
import time

from aiohttp import web

from services.common.bus.library.resolving import VoiceResolver
from services.common.bus.ports import Bus
from services.common.bus.provenance.search import ProvenanceSearch
from services.http_edge.api_document import DocumentRoutes
from services.http_edge.components import Components, Parts, SharedLimits, library_of
from services.http_edge.encoders.tags import Tags
from services.http_edge.http.jobs.book_routes import BookRoutes
from services.http_edge.http.jobs.job_audio import JobAudio
from services.http_edge.http.jobs.job_routes import JobRoutes
from services.http_edge.http.jobs.list_routes import JobListRoutes
from services.http_edge.http.jobs.sentence_routes import JobSentenceRoutes
from services.http_edge.http.jobs.signed_audio import SignedAudio
from services.http_edge.http.normalize_routes import NormalizeRoutes
from services.http_edge.http.openai.openai_routes import OpenAiRoutes
from services.http_edge.http.provenance_routes import ProvenanceRoutes
from services.http_edge.http.requests.request_routes import RequestRoutes
from services.http_edge.http.requests.sentence_routes import SentenceRoutes
from services.http_edge.http.requests.storing_routes import StoringRoutes
from services.http_edge.http.requests.subtitle_routes import SubtitleRoutes
from services.http_edge.http.speech_routes import Routes
from services.http_edge.http.voice_routes import VoiceRoutes
from services.http_edge.intake.forms.body import BodyReader
from services.http_edge.intake.forms.form import FormReader
from services.http_edge.intake.openai.openai_body import OpenAiReader
from services.http_edge.jobs.finished_requests import FinishedRequests
from services.http_edge.jobs.job_list import JobList
from services.http_edge.jobs.manifests import Manifests
from services.http_edge.jobs.redo import Redo
from services.http_edge.provenance.form_reader import ProvenanceFormReader
from services.http_edge.settings import Settings
from services.http_edge.speech.session import SpeechSessions
from services.http_edge.voices.files import VoiceFiles
from services.http_edge.voices.form_reader import VoiceFormReader
from services.http_edge.voices.one_off import OneOffVoices
from services.http_edge.voices.previews import Previews


def add_routes(
    app: web.Application,
    parts: Parts,
    settings: Settings,
    limits: SharedLimits,
    built: Components,
) -> None:
    """Register every path of the API."""
    _add_speech_routes(app, parts, settings, limits, built)
    _add_text_routes(app, parts.bus, settings, limits, built)
    _add_voice_routes(app, parts, settings, limits, built.sessions)
    _add_provenance_routes(app, parts, settings, limits)
    _add_job_routes(app, parts, settings, limits, built)
    _add_storing_routes(app, settings, limits, built)
    _add_edit_routes(app, parts, settings, limits, built)


def _add_speech_routes(
    app: web.Application,
    parts: Parts,
    settings: Settings,
    limits: SharedLimits,
    built: Components,
) -> None:
    """Register the paths that speak, OpenAI's among them, and those of requests in progress."""
    state = Routes(
        bus=parts.bus,
        fleet=parts.fleet,
        acceptor=built.acceptor,
        running=built.running,
        metrics=parts.metrics,
        settings=settings,
        draining=parts.draining,
        space=limits.uploads.space,
        files=parts.files,
    )
    state.add_to(app)
    DocumentRoutes(settings, state).add_to(app)
    OpenAiRoutes(
        acceptor=dataclasses.replace(
            built.acceptor, reader=OpenAiReader(limits.uploads, settings, parts.fleet)
        ),
        running=built.running,
        fleet=parts.fleet,
        library=library_of(parts.bus, settings),
        metrics=parts.metrics,
        settings=settings,
        files=parts.files,
        began_unix_s=time.time(),
    ).add_to(app)
    RequestRoutes(
        bus=parts.bus,
        store=built.requests,
        charges=built.charges,
        sessions=built.sessions,
        metrics=parts.metrics,
        settings=settings,
    ).add_to(app)


def _add_text_routes(
    app: web.Application,
    bus: Bus,
    settings: Settings,
    limits: SharedLimits,
    built: Components,
) -> None:
    """Register the paths about texts: their sentences, subtitles and normalization."""
    jobs = built.jobs
    SentenceRoutes(bus=bus, jobs=jobs, stores=(built.requests, jobs.records)).add_to(app)
    SubtitleRoutes(bus=bus, requests=built.requests, jobs=jobs).add_to(app)
    NormalizeRoutes(
        bus=bus,
        settings=settings,
        reader=FormReader(limits.uploads, settings),
        upload_owner=limits.upload_owner,
    ).add_to(app)


def _add_voice_routes(
    app: web.Application,
    parts: Parts,
    settings: Settings,
    limits: SharedLimits,
    sessions: SpeechSessions,
) -> None:
    library = library_of(parts.bus, settings)
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


def _add_provenance_routes(
    app: web.Application, parts: Parts, settings: Settings, limits: SharedLimits
) -> None:
    ProvenanceRoutes(
        ProvenanceFormReader(limits.uploads, settings, limits.upload_owner),
        parts.decoder,
        ProvenanceSearch(parts.bus),
        library_of(parts.bus, settings),
        parts.metrics,
    ).add_to(app)


def _add_job_routes(
    app: web.Application,
    parts: Parts,
    settings: Settings,
    limits: SharedLimits,
    built: Components,
) -> None:
    """Register the paths of jobs, their audio, and the audio books that are made of it."""
    signed = SignedAudio(parts.files, limits.uploads.space, Manifests(parts.bus))
    JobListRoutes(JobList(parts.bus), built.jobs, settings).add_to(app)
    JobRoutes(
        bus=parts.bus,
        results=built.results,
        acceptor=built.job_acceptor,
        job_events=parts.news,
        job_audio=JobAudio(built.jobs, parts.news, settings, parts.draining, signed),
        settings=settings,
        draining=parts.draining,
    ).add_to(app)
    BookRoutes(built.jobs, settings, signed).add_to(app)


def _add_storing_routes(
    app: web.Application,
    settings: Settings,
    limits: SharedLimits,
    built: Components,
) -> None:
    """Register the path that stores finished requests as jobs."""
    jobs = built.jobs
    StoringRoutes(
        FinishedRequests(jobs.bus, built.requests, jobs, built.results.quota),
        BodyReader(limits.uploads, settings.upload_idle_timeout_s),
        limits.upload_owner,
        settings,
    ).add_to(app)


def _add_edit_routes(
    app: web.Application,
    parts: Parts,
    settings: Settings,
    limits: SharedLimits,
    built: Components,
) -> None:
    """Register the paths that replace sentences of finished jobs."""
    redo = Redo(
        built.jobs,
        built.results.quota,
        built.charges,
        built.sessions,
        parts.admission,
        parts.fleet,
        settings.first_audio_timeout_s,
    )
    JobSentenceRoutes(redo.store, redo, limits.uploads, limits.upload_owner, settings).add_to(app)
