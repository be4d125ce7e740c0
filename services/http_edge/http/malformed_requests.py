"""Problem+json for requests that never reach the application: aiohttp cannot parse them, or fails around a handler."""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, LineTooLong

from services.http_edge.auth.guard import SECURITY_HEADERS
from services.http_edge.errors import BadRequest, HttpFailure, UnexpectedFailure
from services.http_edge.problems import problem

_CLIENT_ERRORS: Final = range(400, 500)


class _Handler(web.RequestHandler):
    """aiohttp's protocol of one connection, with its own errors as problem+json."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the response to an error outside the application, and close the connection.

        Raises ConnectionError if a response has begun.
        """
        super().handle_error(request, status, exc, message)  # logs

        request_id = secrets.token_hex(16)
        response = problem(_failure(status, exc), request_id)
        response.headers.update(SECURITY_HEADERS)
        response.headers["Request-Name"] = request_id
        response.headers["X-Request-Id"] = request_id
        response.force_close()
        return response


def protocol_factory(server: web.Server) -> Callable[[], web.RequestHandler]:
    """Return the factory of the protocols of new connections, with the options of the server."""
    options = server._kwargs  # noqa: SLF001  # as `Server.__call__` passes them to aiohttp's own class
    return partial(_Handler, server, loop=asyncio.get_running_loop(), **options)


def _failure(
    status: int, error: BaseException | None
) -> BadRequest | HttpFailure | UnexpectedFailure:
    if isinstance(error, BadHttpMethod):
        return BadRequest(
            "the request line has no known method; send GET, HEAD, POST, PUT, PATCH, DELETE or "
            "OPTIONS, over HTTP and not TLS"
        )
    if isinstance(error, LineTooLong):
        return BadRequest("the request line or a header is too long; send at most 8190 bytes each")
    if isinstance(error, HttpProcessingError):
        return BadRequest("the head of the request is malformed; send HTTP/1.1")
    if status in _CLIENT_ERRORS:
        return HttpFailure(status)
    return UnexpectedFailure("internal error; retry later")
