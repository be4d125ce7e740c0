"""`POST /requests/{id}/job`: stores a finished request as a job."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

from services.common.wire.fields import LABEL_PATTERN, LONGEST_TITLE, JobLabel, Title
from services.http_edge.auth.guard import expect_later
from services.http_edge.context import tenant_of_caller
from services.http_edge.errors import BadRequest
from services.http_edge.http.jobs.job_body import job_body
from services.http_edge.intake.forms.body import BodyReader
from services.http_edge.intake.forms.form_fields import JsonField
from services.http_edge.intake.idempotency import checked_id
from services.http_edge.jobs.finished_requests import FinishedRequests
from services.http_edge.settings import Settings

_MOST_BYTES: Final = 8 * 1024
_WANTED: Final = (
    f'send no body, or a JSON object such as {{"title": "Greeting", "label": "drafts"}}; title is one line of at most '
    f"{LONGEST_TITLE} characters, and label has 1 to 64 letters, digits, _ and -"
)
# for the OpenAPI document
BODY: Final = (
    JsonField("title", Title, "a line", "for lists; default: that of the request"),
    JsonField("label", JobLabel, "a label", f"to list jobs by: {LABEL_PATTERN}"),
)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    title: Title | None = None
    label: JobLabel | None = None


@dataclass(frozen=True)
class StoringRoutes:
    """The handler and its dependencies."""

    finished: FinishedRequests
    reader: BodyReader
    upload_owner: Callable[[web.Request], str]
    settings: Settings

    def add_to(self, app: web.Application) -> None:
        """Register the path."""
        app.router.add_post("/requests/{id}/job", self.store, expect_handler=expect_later)

    async def store(self, request: web.Request) -> web.Response:
        """`POST /requests/{id}/job`: store a request whose audio is complete, for as long as a job."""
        request_id = checked_id(request.match_info["id"])
        body = await self._body(request)
        progress = await self.finished.store_as_job(
            tenant_of_caller(request), request_id, title=body.title, label=body.label
        )
        return web.json_response(
            job_body(progress, self.settings.job_results_kept_s),
            status=201,
            headers={"Location": f"/jobs/{progress.job}"},
        )

    async def _body(self, request: web.Request) -> _Body:
        """Return the fields of the body; a request without a body has none. Raises BadRequest."""
        if not request.can_read_body:
            return _Body()
        content = await self.reader.whole(
            request, self.upload_owner(request), most_bytes=_MOST_BYTES
        )
        try:
            return msgspec.json.decode(content, type=_Body)
        except msgspec.DecodeError as error:
            found = re.search(r"`\$?\.?(title|label)`", str(error))
            raise BadRequest(_WANTED, field=None if found is None else found[1]) from None
