"""Before every page, upload and websocket: whose name the request gives, and what other sites may do with the pages.

DNS rebinding: a page of evil.example has the browser resolve evil.example to this machine, and then uses these pages as
if they were its own. The request names evil.example, and that is what gives it away. So only names are served that the
owner of a public domain cannot point here. `services/http_edge/transport/host_names.py` has the same rule.
"""

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# not of the public DNS
_PRIVATE: Final = (
    ".localhost",
    ".local",
    ".internal",
    ".svc",
    ".home.arpa",
)
_HOST: Final = re.compile(r"(?P<name>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_SECURITY: Final = {
    "Content-Security-Policy": "frame-ancestors 'none'",  # no other page shows these in a frame and has them clicked
    "X-Frame-Options": "DENY",  # the same, for old browsers
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_REFUSAL: Final = {
    "type": "urn:tts:problem:misdirected_request",
    "title": "misdirected request",
    "status": 421,
    "detail": "these pages are not served under this host name; list it in ALLOWED_HOSTS",
    "code": "misdirected_request",
    "retryable": False,
}


class AllowedHosts:
    """The names that are served."""

    def __init__(self, allowed: str) -> None:
        """`allowed`: names with commas between them; `*.example.org` is every name below it, `*` every name."""
        listed = {name.strip().lower().rstrip(".") for name in allowed.split(",")} - {""}
        self._all = "*" in listed
        self._names = {name for name in listed if "*" not in name} | {socket.gethostname().lower()}
        self._below = tuple(name[1:] for name in listed if name.startswith("*."))

    def serve(self, headers: Iterable[str]) -> bool:
        """Return whether a request with these Host headers is for these pages; HTTP/1.0 sends none."""
        return self._all or all(self._serves(header) for header in headers)

    def _serves(self, header: str) -> bool:
        if not header:
            return True  # RFC 9112: of a target without an authority; no browser sends it
        found = _HOST.fullmatch(header.strip().lower())
        if found is None:
            return False
        name = found["name"].rstrip(".")
        return _is_private(name) or name in self._names or name.endswith(self._below)


def _is_private(name: str) -> bool:
    if "." not in name.strip("[]") or name.endswith(_PRIVATE):
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class HostNameMiddleware:
    """ASGI middleware: refuses requests for other names, and has no other site frame the pages."""

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        elif self._hosts.serve(Headers(scope=scope).getlist("host")):
            await self._app(scope, receive, _securing(send))
        elif scope["type"] == "http":
            answer = JSONResponse(_REFUSAL, status_code=421, media_type="application/problem+json")
            await answer(scope, receive, _securing(send))
        else:
            # before it was accepted: the server answers 403
            await send({"type": "websocket.close", "code": 1008})


def _securing(send: Send) -> Send:
    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_SECURITY)
        await send(message)

    return secured
