"""Redirects paths with an extra slash, such as `/docs/` and `/v1//audio/speech`, to the path that exists.

Browser users type a slash at the end, and clients append a path to a base URL that ends with one. Slashes elsewhere
are left: there an id is empty.
"""

import re
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from yarl import URL


def canonical_paths() -> Middleware:
    """Return the middleware. The redirect keeps method, body and query, and needs no key."""

    @web.middleware
    async def redirect(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not isinstance(request.match_info.http_exception, web.HTTPNotFound):
            return await handler(request)

        path = canonical(request.rel_url.raw_path)
        if path == request.rel_url.raw_path or not await _exists(request, path):
            return await handler(request)

        headers = {"Location": location(request.rel_url, path)}
        return web.Response(status=HTTPStatus.PERMANENT_REDIRECT, headers=headers)

    return redirect


def canonical(raw_path: str) -> str:
    """Return a path without a slash at its end, and with one after each possible base URL."""
    return re.sub("^(/+v1)?/+", _one_slash, raw_path).rstrip("/") or "/"


def location(requested: URL, path: str) -> str:
    """Return the redirect target, relative so that a path prefix of a proxy stays in it."""
    depth = requested.raw_path.count("/") - 1
    query = requested.raw_query_string
    return "../" * depth + path.removeprefix("/") + (f"?{query}" if query else "")


def _one_slash(base: re.Match[str]) -> str:
    return "/v1/" if base[1] else "/"


async def _exists(request: web.Request, path: str) -> bool:
    """Return whether a path has a route, for any method."""
    found = request.clone(rel_url=URL(path, encoded=True))
    resolved = await request.app.router.resolve(found)
    return not isinstance(resolved.http_exception, web.HTTPNotFound)
