"""Middleware that runs before any handler: API keys, host names and CORS."""

import time
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.http_edge.auth.api_keys import ApiKeys, Caller
from services.http_edge.auth.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from services.http_edge.auth.signed_urls import UrlSecrets, signed_path
from services.http_edge.context import TENANT
from services.http_edge.errors import KeyMissing, MisdirectedRequest
from services.http_edge.settings import Settings
from services.http_edge.transport.connections import Addresses
from services.http_edge.transport.host_names import AllowedHosts

# that need no key
OPEN: Final = frozenset(
    {
        "/",
        "/health",
        "/livez",
        "/readyz",
        "/languages",
        "/metrics",
        "/openapi.json",
        "/docs",
    }
)
# that synthesize with the engine of the edge; the body of `/v1/audio/speech` names one, which `Acceptor` checks
_OWN_ENGINE: Final = frozenset(
    {
        ("POST", "/synthesize"),
        ("POST", "/stream"),
        ("POST", "/jobs"),
        ("POST", "/normalize"),
        ("GET", "/voices/{voice}/preview"),
    }
)
_OPEN_FILES: Final = "/docs/{file}"  # of the page /docs

CALLER: Final = web.RequestKey("caller", Caller)
_SIGNED_METHODS: Final = frozenset({"GET", "HEAD"})
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Server": "voice-cloning-pipeline",
}
# a response can have its own: pages for browsers, and what can be cached
_OF_THE_RESPONSE: Final = ("Content-Security-Policy", "Cache-Control")
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": ", ".join(REQUEST_HEADERS),
    "Access-Control-Max-Age": "600",
}


def is_open(request: web.Request) -> bool:
    """Return whether a request needs no key."""
    resource = request.match_info.route.resource
    is_file = resource is not None and resource.canonical == _OPEN_FILES
    return is_file or request.path in OPEN


def caller_of(request: web.Request) -> Caller | None:
    """Return the caller of a request; None if no API keys are configured."""
    return request.get(CALLER)


def upload_owner(addresses: Addresses) -> Callable[[web.Request], str]:
    """Return a function from a request to the owner of its upload.

    The tenant, or without keys the client address.
    """

    def owner(request: web.Request) -> str:
        caller = caller_of(request)
        return (
            f"address {addresses.client(request)}"
            if caller is None
            else f"tenant {caller.key.tenant}"
        )

    return owner


async def expect_later(_request: web.Request) -> None:
    """Send no "100 Continue" yet: a client that waits for it sends nothing before the checks.

    `FormReader` sends it.
    """


def guarding(callers: ApiKeys, settings: Settings, secrets: UrlSecrets | None) -> Middleware:
    """Return the middleware that rejects requests without a valid key, before any of the body is read.

    A signed URL has the key of its signature. Raises KeyMissing, UnknownKey, EngineNotAllowed, RateExceeded,
    SignedUrlInvalid.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_open(request):
            caller = _caller(request, callers, secrets)
            if _uses_own_engine(request):
                caller.require_engine(settings.engine)
            caller.take_token()
            request[CALLER] = caller
            request[TENANT] = caller.key.tenant
        return await handler(request)

    return guard


def naming(hosts: AllowedHosts) -> Middleware:
    """Return the middleware that rejects requests for any other host name.

    Raises MisdirectedRequest.
    """

    @web.middleware
    async def name(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not hosts.serve(request.headers.getall("Host", ())):
            raise MisdirectedRequest(
                "this service is not served under this host name; list it in ALLOWED_HOSTS, or configure API keys"
            )
        return await handler(request)

    return name


def _caller(request: web.Request, callers: ApiKeys, secrets: UrlSecrets | None) -> Caller:
    """Return the caller of a request, by its key or by the signature of its URL."""
    sent = None
    if secrets is not None and request.method in _SIGNED_METHODS and not _has_key(request):
        sent = signed_path(request.raw_path)
    if sent is None or secrets is None:
        return callers.find(_secret(request))
    return secrets.signer().verified(sent, callers.named(sent.key), time.time())


def _uses_own_engine(request: web.Request) -> bool:
    resource = request.match_info.route.resource
    method = "GET" if request.method == "HEAD" else request.method
    return resource is not None and (method, resource.canonical) in _OWN_ENGINE


def _has_key(request: web.Request) -> bool:
    return "Authorization" in request.headers or "X-API-Key" in request.headers


def _secret(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    secret = token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "")
    if not secret:
        raise KeyMissing("send your key as Authorization: Bearer KEY, or as X-API-Key: KEY")
    return secret


class CorsPolicy:
    """The CORS policy for pages of other origins (WHATWG Fetch), and the security headers of every response."""

    def __init__(self, origins: str) -> None:
        """Parse the origins that can read responses.

        A comma-separated list, "*" for all, empty for none.
        """
        self._allowed = frozenset(origin.strip() for origin in origins.split(",") if origin.strip())

    def _allowed_origin(self, request: web.Request) -> str | None:
        origin = request.headers.get("Origin")
        if origin is None:
            return None
        return "*" if "*" in self._allowed else origin if origin in self._allowed else None

    def preflight(self) -> Middleware:
        """Return the middleware that answers preflights, which need no key."""

        @web.middleware
        async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
            if (
                request.method != "OPTIONS"
                or "Access-Control-Request-Method" not in request.headers
            ):
                return await handler(request)
            if self._allowed_origin(request) is None:
                raise web.HTTPForbidden
            return web.Response(status=204, headers=_PREFLIGHT)

        return preflight

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add the headers; a handler of the `on_response_prepare` signal."""
        for name, value in SECURITY_HEADERS.items():
            if name not in _OF_THE_RESPONSE or name not in response.headers:
                response.headers[name] = value
        if self._allowed:
            response.headers.add("Vary", "Origin")
        if (origin := self._allowed_origin(request)) is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = ", ".join(RESPONSE_HEADERS)
