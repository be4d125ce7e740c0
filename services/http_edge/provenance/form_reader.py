"""Reads the body of a question about a recording: a form with the file."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from aiohttp import web

from services.http_edge.errors import BadRequest
from services.http_edge.intake.forms.body import FORM_BYTES, BodyReader, Upload, check_multipart
from services.http_edge.intake.forms.form_fields import Field
from services.http_edge.intake.forms.uploads import Uploads
from services.http_edge.settings import Settings

FILE: Final = "file"
_UNTIL: Final = "until"
_WANTED: Final = "send a recording of at least 1 s as the file of the field `file`"


def _read_time(given: str) -> float:
    try:
        time = datetime.fromisoformat(given)
        unix_s = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        unix_s = math.nan
    if not 0 < unix_s < 253_402_300_800:
        raise BadRequest("`until` must be a time such as 2026-01-31T12:00:00Z")
    return unix_s


PROVENANCE_FORM: Final = (
    Field(
        FILE,
        "a recording, or a part of one; the first 120 s are examined",
        {"format": "binary"},
        content_type="application/octet-stream",
        required=True,
    ),
    Field(
        _UNTIL,
        "sentences that were spoken before this time; default: all",
        {"type": "string", "format": "date-time"},
        _read_time,
    ),
)


class Question(NamedTuple):
    """A recording, and the time up to which the log is searched."""

    upload: Upload
    until_unix_s: Any  # float, or None: all


@dataclass(frozen=True)
class ProvenanceFormReader:
    """Reads bodies, each in an upload slot of its caller."""

    uploads: Uploads
    settings: Settings
    upload_owner: Callable[[web.Request], str]  # returns whose upload a request is

    @asynccontextmanager
    async def question(self, request: web.Request) -> AsyncIterator[Question]:
        """Read and check a form; its file is deleted when the block ends.

        Raises BadRequest, ReferenceTooLarge, UploadStalled, TooManyUploads, InsufficientStorage.
        """
        limits = {FILE: self.settings.max_upload_bytes, _UNTIL: PROVENANCE_FORM[1].longest_bytes}
        check_multipart(
            request,
            largest=self.settings.max_upload_bytes + FORM_BYTES,
            wanted=", ".join(limits),
        )
        body = BodyReader(self.uploads, self.settings.upload_idle_timeout_s)
        caller = self.upload_owner(request)
        async with body.parts(request, caller, limits, file_field=FILE) as (fields, uploads):
            if len(uploads) != 1 or not uploads[0].size:
                raise BadRequest(_WANTED, field=FILE)
            yield Question(uploads[0], PROVENANCE_FORM[1].value(fields))
