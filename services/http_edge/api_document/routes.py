"""Routes of the documents: `/`, `/openapi.json`, `/docs` and its files. They need no key: they contain no data."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from aiohttp import web

from services.http_edge.api_document.document import openapi
from services.http_edge.api_document.pages import (
    FILES,
    PAGE_POLICY,
    VIEWER,
    start_page,
)
from services.http_edge.http.bodies import About
from services.http_edge.http.ranges import not_modified
from services.http_edge.http.speech_routes import Routes
from services.http_edge.settings import Settings

ASSETS: Final = Path(__file__).parent / "assets"
_CACHED: Final = "no-cache"  # stored, and revalidated by its ETag
_HTML: Final = "text/html"


@dataclass(frozen=True)
class _Document:
    """A response that does not change while the edge runs."""

    content: bytes
    content_type: str
    etag: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "etag", f'"{sha256(self.content).hexdigest()[:32]}"')

    def response(self, request: web.Request) -> web.Response:
        """Return it, or 304 if the client has it."""
        headers = {"ETag": self.etag, "Cache-Control": _CACHED}
        if not_modified(request.headers.get("If-None-Match"), self.etag):
            return web.Response(status=304, headers=headers)
        return web.Response(
            body=self.content, content_type=self.content_type, charset="utf-8", headers=headers
        )


class DocumentRoutes:
    """The handlers. The documents are made once, at start."""

    def __init__(self, settings: Settings, state: Routes) -> None:
        """`state`: the routes that describe the service as JSON."""
        document = json.dumps(openapi(settings), ensure_ascii=False, separators=(",", ":"))
        self._settings = settings
        self._state = state
        self._openapi = _Document(document.encode(), "application/json")
        self._files = {name: _file(name, content_type) for name, content_type in FILES.items()}

    def add_to(self, app: web.Application) -> None:
        """Register every path."""
        app.router.add_get("/", self.start)
        app.router.add_get("/openapi.json", self.document)
        app.router.add_get("/docs", self.viewer)
        app.router.add_get("/docs/{file}", self.file)

    async def start(self, request: web.Request) -> web.Response:
        """`GET /`: a page for browsers; JSON for all others."""
        about = self._state.description()
        response = (
            self._page(request, about) if _prefers_html(request) else web.json_response(about)
        )
        response.headers["Vary"] = "Accept"
        return response

    async def document(self, request: web.Request) -> web.Response:
        """`GET /openapi.json`: the OpenAPI document."""
        return self._openapi.response(request)

    async def viewer(self, _request: web.Request) -> web.Response:
        """`GET /docs`: the page that shows the document."""
        return _html(VIEWER)

    async def file(self, request: web.Request) -> web.Response:
        """`GET /docs/{file}`: a file of the pages."""
        found = self._files.get(request.match_info["file"])
        if found is None:
            raise web.HTTPNotFound
        return found.response(request)

    def _page(self, request: web.Request, about: About) -> web.Response:
        address = self._settings.public_service_url.rstrip("/")
        return _html(
            start_page(
                name=about["name"],
                engine=about["engine"],
                address=address or f"{request.scheme}://{request.host}",
                ui_url=self._settings.ui_url,
            )
        )


def _html(content: str) -> web.Response:
    return web.Response(
        text=content, content_type=_HTML, headers={"Content-Security-Policy": PAGE_POLICY}
    )


def _file(name: str, content_type: str) -> _Document:
    return _Document((ASSETS / name).read_bytes(), content_type)


def _prefers_html(request: web.Request) -> bool:
    """Return whether Accept names text/html, and not JSON before it (RFC 9110, 12.5.1). `*/*` is not a browser."""
    weights = {"text/html": 0.0, "application/json": 0.0}
    for item in ",".join(request.headers.getall("Accept", [])).lower().split(","):
        media_type, *parameters = (part.strip() for part in item.split(";"))
        if media_type in weights:
            weights[media_type] = _weight(parameters)
    return weights["text/html"] > 0 and weights["text/html"] >= weights["application/json"]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
