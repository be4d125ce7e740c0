"""Reads the bodies of requests about voices: forms with recordings, and short JSON."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from services.common.voice_file import MOST_FILE_BYTES
from services.common.wire.languages import LANGUAGES
from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.body import (
    FORM_BYTES,
    GOOD_REFERENCE,
    REFERENCE,
    BodyReader,
    Upload,
    check_multipart,
    check_uploads,
)
from services.http_edge.intake.forms.form_fields import FIELDS as FORM_FIELDS
from services.http_edge.intake.forms.form_fields import Field, JsonField
from services.http_edge.intake.forms.uploads import Uploads
from services.http_edge.settings import Settings
from services.http_edge.voices.fields import FIELDS, VoiceFields, form_fields, json_fields

_LONGEST: Final = {  # bytes of a field
    "name": 400,
    "language": 64,
    "description": 4_000,
    "consent": 20_000,
    "parameters": 2_000,
}
_FILE: Final = "file"  # the field of an exported voice
_OBJECTS: Final = ("consent", "parameters")
_RECORDINGS: Final = replace(
    FORM_FIELDS[REFERENCE],
    description="one to eight recordings of one person, 6 to 30 s each",
    required=True,
)


def _form_field(described: JsonField, *, required: bool) -> Field:
    name = described.name
    return Field(
        name,
        described.description,
        {"enum": list(LANGUAGES)} if name == "language" else {},
        kind=str if name == "language" else described.kind,
        content_type="application/json" if name in _OBJECTS else "text/plain",
        longest_bytes=_LONGEST[name],
        required=required,
    )


_FIELDS: Final = tuple(
    _form_field(found, required=found.name == "name")
    for name in _LONGEST
    for found in FIELDS
    if found.name == name
)
VOICE_FORM: Final = (*_FIELDS, _RECORDINGS)
CLIPS_FORM: Final = (*(found for found in _FIELDS if found.name == "consent"), _RECORDINGS)
FILE_FORM: Final = (replace(_RECORDINGS, name=_FILE, description="an exported voice"),)
_JSON_BYTES: Final = 32 * 1024


@dataclass(frozen=True)
class VoiceForm:
    """A checked form: the recordings of a voice, and what describes it."""

    fields: VoiceFields
    uploads: tuple[Upload, ...]  # 1 to MOST_CLIPS


@dataclass(frozen=True)
class VoiceFormReader:
    """Reads bodies, each in an upload slot of its caller."""

    uploads: Uploads
    settings: Settings
    upload_owner: Callable[[web.Request], str]  # returns whose upload a request is

    @asynccontextmanager
    async def form(self, request: web.Request, *, clips_only: bool) -> AsyncIterator[VoiceForm]:
        """Read and check a form; the files of its uploads are deleted when the block ends.

        `clips_only`: of the other fields only consent can be sent. Raises BadRequest, ReferenceTooLarge,
        UploadStalled, TooManyUploads, InsufficientStorage, and ConsentRequired if the operator requires consent.
        """
        known = CLIPS_FORM if clips_only else VOICE_FORM
        limits = {found.name: found.longest_bytes for found in known}
        limits[REFERENCE] = self.settings.max_upload_bytes
        check_multipart(
            request,
            largest=self.settings.max_upload_bytes + FORM_BYTES,
            wanted=", ".join(limits),
        )

        body = BodyReader(self.uploads, self.settings.upload_idle_timeout_s)
        async with body.parts(request, self.upload_owner(request), limits) as (fields, uploads):
            form = VoiceForm(form_fields(fields), uploads)

            if self.settings.voice_consent == "required":
                form.fields.require_consent()
            if not uploads:
                raise BadRequest(
                    f"the file reference_audio is missing; send {GOOD_REFERENCE}", field=REFERENCE
                )

            check_uploads(uploads)
            yield form

    @asynccontextmanager
    async def voice_file(self, request: web.Request) -> AsyncIterator[Upload]:
        """Read a form with an exported voice, the field `file`; it is deleted when the block ends.

        Raises BadRequest, ReferenceTooLarge, UploadStalled, TooManyUploads, InsufficientStorage.
        """
        check_multipart(request, largest=MOST_FILE_BYTES + FORM_BYTES, wanted=_FILE)
        body = BodyReader(self.uploads, self.settings.upload_idle_timeout_s)
        caller = self.upload_owner(request)
        limits = {_FILE: MOST_FILE_BYTES}

        async with body.parts(request, caller, limits, file_field=_FILE) as (_, uploads):
            if len(uploads) != 1 or not uploads[0].size:
                raise BadRequest(
                    "send one exported voice as the file of the field `file`", field=_FILE
                )
            yield uploads[0]

    async def changes(self, request: web.Request) -> VoiceFields:
        """Read and check a JSON object of changes.

        Raises BadRequest, UploadStalled, TooManyUploads.
        """
        if request.content_type != "application/json":
            raise BadRequest(
                "send the changes as a JSON object, with Content-Type: application/json",
                field="Content-Type",
            )

        body = BodyReader(self.uploads, self.settings.upload_idle_timeout_s)
        caller = self.upload_owner(request)
        return json_fields(await body.whole(request, caller, most_bytes=_JSON_BYTES))
