"""Around every handler: a request id, failures as problem+json, and the count of what came of it."""

import asyncio
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.common.runtime.tracing import carried, fail, spanning
from services.common.wire.failures import PipelineError
from services.http_edge.errors import HttpFailure, RangeNotSatisfiable, problem
from services.http_edge.fleet import Fleet
from services.http_edge.metrics import Metrics

log = structlog.get_logger()

REQUEST_ID: Final = web.RequestKey("request_id", str)  # the name of a request: what /requests/{id} takes
_CORRELATION_ID: Final = web.RequestKey("correlation_id", str)  # what the client or a gateway calls it
_CORRELATION: Final = re.compile(r"[!-~]{1,128}")
_SPEAKING: Final = ("synthesize", "stream", "resume")  # names of routes


@dataclass
class Outcome:
    """What came of a request that speaks."""

    language: str = ""
    audio_bytes: int | None = None  # all that was to be sent; None until it is
    response_begun: bool = False

    def sent(self, audio_bytes: int) -> None:
        """Note that the whole speech left."""
        self.audio_bytes = audio_bytes


_OUTCOME: Final = web.RequestKey("outcome", Outcome)


def outcome_of(request: web.Request) -> Outcome:
    """Return the outcome that the middleware counts for this request."""
    return request[_OUTCOME]


def around(metrics: Metrics, fleet: Fleet) -> Middleware:
    """Return the middleware."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID], request[_OUTCOME] = secrets.token_hex(16), Outcome()
        with _correlated(request):
            return await _traced(request, handler)

    async def _traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "GET":  # nothing is begun
            return await _answered(request, handler, fleet, metrics)
        with spanning(f"{request.method} {_endpoint(request)}", request.headers, request=request[REQUEST_ID]):
            return await _measured(request, handler)

    async def _measured(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _endpoint(request) not in _SPEAKING:
            return await _answered(request, handler, fleet, metrics)
        began_s = time.monotonic()
        with metrics.in_flight.track_inprogress():
            try:
                return await _answered(request, handler, fleet, metrics)
            except (asyncio.CancelledError, ConnectionError):
                metrics.cancelled.inc()
                log.info("client_left", request=request[REQUEST_ID])
                raise
            finally:
                _count(request, metrics, time.monotonic() - began_s)

    return middleware


@contextmanager
def _correlated(request: web.Request) -> Iterator[None]:
    """Note the `X-Request-Id` that came, and log it with every event while the block runs."""
    given = request.headers.get("X-Request-Id", "")
    if not _CORRELATION.fullmatch(given):  # none, or nothing to be repeated in a log
        yield
        return
    request[_CORRELATION_ID] = given
    with structlog.contextvars.bound_contextvars(correlation_id=given):
        yield


async def tell_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer its request's name, and the client's own id for it; a handler of `on_response_prepare`."""
    if REQUEST_ID in request:
        response.headers["Request-Name"] = request[REQUEST_ID]
        response.headers["X-Request-Id"] = request.get(_CORRELATION_ID, request[REQUEST_ID])
        response.headers.update(carried())


def part_when(draining: asyncio.Event) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a handler of the `on_response_prepare` signal that lets connections end with their answers."""

    async def part(_request: web.Request, response: web.StreamResponse) -> None:
        if draining.is_set():
            response.force_close()
            response.headers["Connection"] = "close"

    return part


async def _answered(request: web.Request, handler: Handler, fleet: Fleet, metrics: Metrics) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        return problem(HttpFailure(error.status), request[REQUEST_ID])
    except PipelineError as failure:
        return _failed(request, failure, fleet, metrics)
    return response


def _failed(request: web.Request, failure: PipelineError, fleet: Fleet, metrics: Metrics) -> web.StreamResponse:
    metrics.failures.labels(failure.code).inc()
    fail(failure.code)
    log.warning(
        "request_failed",
        request=request[REQUEST_ID],
        code=failure.code,
        status_code=failure.http_status,
        cut=outcome_of(request).response_begun,
    )
    if outcome_of(request).response_begun and request.transport is not None:
        request.transport.abort()  # no last chunk: the client sees that the body is not whole
    response = problem(failure, request[REQUEST_ID])
    if isinstance(failure, RangeNotSatisfiable):
        response.headers["Content-Range"] = f"bytes */{failure.size}"
    if failure.http_status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    retry_after_s = failure.retry_after_s
    if retry_after_s is None and failure.http_status in (429, HTTPStatus.SERVICE_UNAVAILABLE):
        retry_after_s = fleet.retry_after_s()
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
    return response


def _endpoint(request: web.Request) -> str:
    return request.match_info.route.name or ""


def _count(request: web.Request, metrics: Metrics, took_s: float) -> None:
    outcome = outcome_of(request)
    status = "error" if outcome.audio_bytes is None else "success"
    metrics.requests.labels(outcome.language, _endpoint(request), status).inc()
    if outcome.audio_bytes is not None:
        metrics.duration.labels(outcome.language).observe(took_s)
        metrics.output.observe(outcome.audio_bytes)
