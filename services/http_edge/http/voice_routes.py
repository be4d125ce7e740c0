"""Routes of the voice library (`/voices`): voices that a tenant keeps, shared ones and built-in ones."""

import asyncio
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from services.common.audio.wav import with_chunk_after
from services.common.bus.library.resolving import VoiceResolver, built_in_voices, require_usable
from services.common.bus.library.voices import VoiceLibrary
from services.common.voice_file import CONTENT_TYPE, SUFFIX
from services.common.wire.failures import UnknownVoice
from services.common.wire.fields import VoiceReference
from services.common.wire.parts import BuiltInVoice
from services.common.wire.voices import SHARED_TENANT, Voice, is_voice_id, parse_reference
from services.http_edge.auth.guard import caller_of, expect_later
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.context import tenant_of_caller
from services.http_edge.encoders.tags import Tags
from services.http_edge.errors import BadRequest
from services.http_edge.http.audio_response import CONTAINER_MARK, write
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from services.http_edge.metrics import Metrics
from services.http_edge.voices.fields import new_voice
from services.http_edge.voices.files import VoiceFiles
from services.http_edge.voices.form_reader import VoiceFormReader
from services.http_edge.voices.listing import (
    COMPUTED,
    checked_language,
    only_parameters,
    parse_query,
)
from services.http_edge.voices.one_off import OneOffVoices
from services.http_edge.voices.previews import PreviewedVoice, Previews
from services.http_edge.voices.recordings import decode_recordings
from services.http_edge.voices.representation import (
    VoiceBody,
    VoicesBody,
    built_in_body,
    voice_body,
)

log = structlog.get_logger()

_MOST_SHARED: Final = 1_000  # listed
_BLOCK_BYTES: Final = 256 * 1024
_USUAL_LANGUAGE: Final = "fr"  # of a preview, as of a request form


@dataclass(frozen=True)
class VoiceRoutes:
    """The handlers and their dependencies."""

    library: VoiceLibrary
    resolver: VoiceResolver
    fleet: Fleet
    reader: VoiceFormReader
    decoder: ReferenceDecoder
    previews: Previews
    files: VoiceFiles
    one_off: OneOffVoices
    metrics: Metrics
    preview_tags: Tags | None
    listener_timeout_s: float  # a client that reads nothing for so long is disconnected

    def add_to(self, app: web.Application) -> None:
        """Register every path; the fixed ones first, as they look like names of voices."""
        app.on_shutdown.append(self.previews.close)
        router = app.router
        router.add_post("/voices", self.create, expect_handler=expect_later)
        router.add_get("/voices", self.list_voices)
        router.add_delete("/voices/uploads", self.delete_uploads)
        router.add_post("/voices/import", self.import_voice, expect_handler=expect_later)
        # other methods of the fixed paths are not those of a voice
        router.add_route("*", "/voices/uploads", _only("DELETE"))
        router.add_route("*", "/voices/import", _only("POST"))
        router.add_get("/voices/{voice}", self.show)
        router.add_patch("/voices/{voice}", self.change, expect_handler=expect_later)
        router.add_delete("/voices/{voice}", self.delete)
        router.add_put("/voices/{voice}/clips", self.replace_clips, expect_handler=expect_later)
        router.add_get("/voices/{voice}/preview", self.preview, allow_head=False)
        router.add_get("/voices/{voice}/export", self.export, allow_head=False)

    async def create(self, request: web.Request) -> web.Response:
        """`POST /voices`: store a voice of one to eight recordings."""
        tenant = tenant_of_caller(request)

        async with self.reader.form(request, clips_only=False) as form:
            draft = new_voice(form.fields, tenant=tenant, uploaded_by=_key_id(request))
            recordings = await decode_recordings(self.decoder, tenant, form.uploads)

        voice = await self.library.create(recordings.describing(draft), recordings.wavs)
        self.metrics.voices.labels("created").inc()
        return _created(request, voice)

    async def list_voices(self, request: web.Request) -> web.Response:
        """`GET /voices`: a page of the tenant's voices; on the first one shared and built-in ones too."""
        query = parse_query(list(request.query.items()))
        voices: list[VoiceBody] = []
        following: str | None = None

        if query.wants("library"):
            page = await self.library.page(
                tenant_of_caller(request),
                limit=query.limit,
                after=query.after,
                where=query.matches,
            )
            voices += map(voice_body, page.voices)
            following = page.next

        if query.wants("shared"):
            shared = await self.library.page(SHARED_TENANT, limit=_MOST_SHARED, where=query.matches)
            voices += map(voice_body, shared.voices)

        if query.wants("builtin"):
            voices += map(built_in_body, filter(query.matches_built_in, self._built_in()))

        listed: VoicesBody = {"voices": voices, "next": following}
        return web.json_response(listed)

    async def show(self, request: web.Request) -> web.Response:
        """`GET /voices/{id or name}`: a voice that this tenant's requests can use."""
        voice = await self._usable(request)
        body = voice_body(voice) if isinstance(voice, Voice) else built_in_body(voice)
        return web.json_response(body)

    async def change(self, request: web.Request) -> web.Response:
        """`PATCH /voices/{id or name}`: change what is not audio."""
        voice = await self._own(request)
        fields = await self.reader.changes(request)
        changed = await self.library.change(voice.tenant, voice.voice, fields.applied)
        self.metrics.voices.labels("changed").inc()
        log.info("voice_changed", tenant=voice.tenant, voice=voice.voice, key=_key_id(request))
        return web.json_response(voice_body(changed))

    async def replace_clips(self, request: web.Request) -> web.Response:
        """`PUT /voices/{id or name}/clips`: replace the recordings of a voice; its revision rises."""
        voice = await self._own(request)

        async with self.reader.form(request, clips_only=True) as form:
            recordings = await decode_recordings(self.decoder, voice.tenant, form.uploads)

        def describe(now: Voice) -> Voice:
            described = msgspec.structs.replace(now, uploaded_by=_key_id(request))
            return form.fields.applied(recordings.describing(described))

        replaced = await self.library.replace_clips(
            voice.tenant, voice.voice, recordings.wavs, describe
        )
        self.metrics.voices.labels("clips_replaced").inc()
        log.info(
            "voice_clips_replaced",
            tenant=voice.tenant,
            voice=voice.voice,
            key=_key_id(request),
            revision=replaced.revision,
        )
        return web.json_response(voice_body(replaced))

    async def delete(self, request: web.Request) -> web.Response:
        """`DELETE /voices/{id or name}`: erase a voice and everything that was made of it."""
        tenant = tenant_of_caller(request)
        voice = _reference(request)

        # By id, a deletion that was interrupted is finished, although the voice cannot be found any longer.
        if not is_voice_id(voice) or not await self._erase(tenant, voice):
            voice = (await self.library.require(tenant, voice)).voice
            if not await self._erase(tenant, voice):
                raise UnknownVoice("this voice no longer exists; GET /voices lists those that do")

        self.metrics.voices.labels("deleted").inc()
        log.info("voice_deleted", tenant=tenant, voice=voice, key=_key_id(request))
        return web.Response(status=204)

    async def _erase(self, tenant: str, voice: str) -> bool:
        """Erase a voice, to the end even if the client disconnects; return False if there is none."""
        return await asyncio.shield(self.library.delete(tenant, voice))

    async def delete_uploads(self, request: web.Request) -> web.Response:
        """`DELETE /voices/uploads`: erase the recordings that came with requests, and their voices."""
        tenant = tenant_of_caller(request)
        clips = await asyncio.shield(self.one_off.erase(tenant))
        self.metrics.voices.labels("uploads_deleted").inc()
        log.info("voice_uploads_deleted", tenant=tenant, clips=clips, key=_key_id(request))
        return web.Response(status=204)

    async def preview(self, request: web.Request) -> web.Response:
        """`GET /voices/{id or name}/preview`: a short standard sentence, as WAV."""
        query = only_parameters(list(request.query.items()), ("language",))
        voice = await self._usable(request)

        if isinstance(voice, Voice):
            require_usable(voice, self.fleet.ready())
            usual = voice.language
            previewed = PreviewedVoice.stored(voice)
        else:
            usual = voice.languages[0] if voice.languages else None
            previewed = PreviewedVoice.built_in(voice)

        language = checked_language(query.get("language")) or usual or _USUAL_LANGUAGE
        wav = await self.previews.get(tenant_of_caller(request), previewed, language)
        self.metrics.voices.labels("previewed").inc()
        if self.preview_tags is not None:
            wav = with_chunk_after(wav, self.preview_tags.riff_chunk())
        mark = "off" if self.preview_tags is None else "metadata"
        return web.Response(body=wav, content_type="audio/wav", headers={CONTAINER_MARK: mark})

    async def export(self, request: web.Request) -> web.StreamResponse:
        """`GET /voices/{id or name}/export`: a portable file of a voice, with its recordings."""
        computed = COMPUTED.value(request.query)
        voice = await self._own(request)
        self.files.check_slots()

        async with self.files.slots:
            content = await self.files.packed(voice, computed=computed)
            self.metrics.voices.labels("exported").inc()
            log.info("voice_exported", tenant=voice.tenant, voice=voice.voice, key=_key_id(request))
            return await self._send_file(request, voice, content)

    async def import_voice(self, request: web.Request) -> web.Response:
        """`POST /voices/import`: store an exported voice."""
        tenant = tenant_of_caller(request)
        self.files.check_slots()

        async with self.reader.voice_file(request) as upload, self.files.slots:
            voice = await self.files.imported(tenant, upload, uploaded_by=_key_id(request))

        self.metrics.voices.labels("imported").inc()
        return _created(request, voice)

    async def _send_file(
        self, request: web.Request, voice: Voice, content: bytes
    ) -> web.StreamResponse:
        """Send an exported voice; a client that stops reading is disconnected."""
        name = f"{voice.voice}{SUFFIX}"  # not its name, which is personal
        response = web.StreamResponse(
            headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )
        response.content_type = CONTENT_TYPE
        response.content_length = len(content)
        await response.prepare(request)

        view = memoryview(content)
        for begin in range(0, len(view), _BLOCK_BYTES):
            block = bytes(view[begin : begin + _BLOCK_BYTES])
            await write(response, block, self.listener_timeout_s)

        await response.write_eof()
        return response

    def _built_in(self) -> list[BuiltInVoice]:
        return built_in_voices(self.fleet.ready())

    async def _own(self, request: web.Request) -> Voice:
        """Return the voice of the path, which the tenant keeps. Raises UnknownVoice, BadRequest."""
        return await self.library.require(tenant_of_caller(request), _reference(request))

    async def _usable(self, request: web.Request) -> Voice | BuiltInVoice:
        """Return the voice of the path: one's own, a shared or a built-in one.

        Raises UnknownVoice, with the nearest names; BadRequest.
        """
        tenant = tenant_of_caller(request)
        chosen = await self.resolver.resolve(tenant, _reference(request), self.fleet.ready())
        resolved = parse_reference(chosen.reference)
        found: Voice | BuiltInVoice | None = None

        if resolved is not None and resolved.scope == "builtin":
            named = (voice for voice in self._built_in() if voice.name == resolved.id)
            found = next(named, None)
        elif resolved is not None:
            found = await self.library.read(resolved.owner(tenant), resolved.id)

        if found is None:  # since it was resolved
            raise UnknownVoice("this voice no longer exists; GET /voices lists those that do")
        return found


def _only(method: str) -> Handler:
    """Return a handler that refuses all methods but this one."""

    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(request.method, [method])

    return refuse


def _created(request: web.Request, voice: Voice) -> web.Response:
    """Return the response with a new voice, and log it."""
    log.info("voice_created", tenant=voice.tenant, voice=voice.voice, key=_key_id(request))
    return web.json_response(
        voice_body(voice), status=201, headers={"Location": f"/voices/{voice.voice}"}
    )


def _reference(request: web.Request) -> str:
    """Return the id or name in the path. Raises BadRequest."""
    try:
        return msgspec.convert(request.match_info["voice"], VoiceReference)
    except msgspec.ValidationError:
        raise BadRequest(
            "the path must contain the id or name of a voice, at most 100 characters", field="voice"
        ) from None


def _key_id(request: web.Request) -> str:
    """Return the id of the request's API key; empty without keys."""
    caller = caller_of(request)
    return "" if caller is None else caller.key.name
