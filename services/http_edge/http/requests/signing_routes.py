"""`POST /signed-urls`: a URL that a browser can read without the API key."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from services.http_edge.auth.guard import caller_of
from services.http_edge.auth.signed_urls import LONGEST_PATH, LONGEST_S, UrlSecrets, is_signable
from services.http_edge.errors import BadRequest, SignedUrlsOff
from services.http_edge.http.bodies import SignedUrl
from services.http_edge.intake.forms.body import BodyReader
from services.http_edge.intake.forms.form_fields import JsonField

_MOST_BYTES: Final = 8 * 1024
_WANTED: Final = (
    'send a JSON object such as {"path": "/jobs/ID/audio", "expires_in": 300}; path is one of /jobs/ID/audio, '
    "/jobs/ID/events, /jobs/ID/subtitles.vtt, /requests/ID/audio, /requests/ID/sentences and "
    f"/requests/ID/subtitles.vtt, and expires_in a whole number of seconds from 1 to {LONGEST_S}"
)


_Lifetime = Annotated[int, Meta(ge=1, le=LONGEST_S)]
# for the OpenAPI document
FORM: Final = (
    JsonField("path", str, "a path", "such as `/jobs/{id}/audio`", {"maxLength": LONGEST_PATH}),
    JsonField("expires_in", _Lifetime, "a whole number", "seconds", {"default": 300}),
)


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    expires_in: _Lifetime = 300


@dataclass(frozen=True)
class SigningRoutes:
    """The handler and its dependencies."""

    secrets: UrlSecrets | None  # None: no URL is signed
    reader: BodyReader
    upload_owner: Callable[[web.Request], str]

    def add_to(self, app: web.Application) -> None:
        """Register the path."""
        app.router.add_post("/signed-urls", self.sign)

    async def sign(self, request: web.Request) -> web.Response:
        """`POST /signed-urls`: sign a path for a short time. Without API keys, the path needs no signature."""
        body = await self.reader.whole(request, self.upload_owner(request), most_bytes=_MOST_BYTES)
        try:
            form = msgspec.json.decode(body, type=_Form)
        except msgspec.DecodeError as error:
            raise BadRequest(_WANTED, field=_field_of(error)) from None
        if not is_signable(form.path):
            raise BadRequest(_WANTED, field="path")

        caller = caller_of(request)
        if caller is None:
            unsigned: SignedUrl = {"url": form.path}
            return web.json_response(unsigned)
        if self.secrets is None:
            raise SignedUrlsOff(
                "this service signs no URLs; the operator has to set URL_SECRETS_FILE"
            )
        expires = int(time.time()) + form.expires_in
        url = self.secrets.signer().signed(form.path, caller.key, expires)
        expires_at = datetime.fromtimestamp(expires, UTC).isoformat(timespec="seconds")
        signed: SignedUrl = {"url": url, "expires_at": expires_at}
        return web.json_response(signed)


def _field_of(error: msgspec.DecodeError) -> str | None:
    """Return the field that msgspec names, missing or invalid; None if the body is not an object."""
    found = re.search(r"`(?:\$\.)?(path|expires_in)`", str(error))
    return None if found is None else found[1]
