"""Middleware of every handler: request id, failures as problem+json, and outcome metrics."""

import asyncio
import errno
import math
import re
import secrets
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import HttpVersion11, web
from aiohttp.typedefs import Handler, Middleware

from services.common.runtime.log_limits import LogLimit
from services.common.runtime.logs import places_of
from services.common.runtime.tracing import carried, fail, span
from services.common.wire.failures import PipelineError, QuotaUsedUp
from services.http_edge.auth.quota import until_midnight_s
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.context import OUTCOME, REQUEST_ID, TENANT, RequestOutcome, outcome_of
from services.http_edge.errors import (
    HttpFailure,
    InsufficientStorage,
    RangeNotSatisfiable,
    UnexpectedFailure,
    UnsupportedEncoding,
)
from services.http_edge.http.openai.openai_errors import is_openai, openai_error
from services.http_edge.metrics import AUDIO_ENDPOINTS, Metrics
from services.http_edge.problems import problem

log = structlog.get_logger()

_CORRELATION_ID: Final = web.RequestKey("correlation_id", str)  # set by the client or a gateway
_CORRELATION: Final = re.compile(r"[!-~]{1,128}")
_DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
_failure_log_limit: Final = LogLimit(burst=100, a_second=10)  # lines
_UNMEASURED_RETRY_S: Final = 5.0  # no worker's speed is known, for example while all of them start
_LOGGED_ROUTES: Final = (*AUDIO_ENDPOINTS, "normalize", "jobs", "job_audio")


def request_middleware(metrics: Metrics, fleet: Fleet, tenant: str | None) -> Middleware:
    """Return the middleware. `tenant`: the tenant of requests without an API key; None if all have one."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = secrets.token_hex(16)
        request[OUTCOME] = RequestOutcome()
        if tenant is not None:
            request[TENANT] = tenant

        with _correlated(request):
            return await _traced(request, handler)

    async def _traced(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "GET":  # starts no work on the bus
            return await _measured(request, handler)

        with span(
            f"{request.method} {_endpoint(request)}", request.headers, request=request[REQUEST_ID]
        ):
            return await _measured(request, handler)

    async def _measured(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _endpoint(request) not in _LOGGED_ROUTES:
            return await _with_problems(request, handler, fleet, metrics)

        has_audio = _endpoint(request) in AUDIO_ENDPOINTS
        with metrics.in_flight.track_inprogress() if has_audio else nullcontext():
            try:
                return await _with_outcome(request, handler)
            finally:
                if has_audio:
                    _record_metrics(request, metrics)
                _log_completion(request)

    async def _with_outcome(request: web.Request, handler: Handler) -> web.StreamResponse:
        outcome = outcome_of(request)
        try:
            response = await _with_problems(request, handler, fleet, metrics)
        except (asyncio.CancelledError, ConnectionError):
            # A client that has the last byte can disconnect while the handler is still cleaning up.
            outcome.left = not outcome.whole
            raise

        outcome.answered(response)
        return response

    return middleware


@contextmanager
def _correlated(request: web.Request) -> Iterator[None]:
    """Store the client's `X-Request-Id`, and add it to every log event while the block runs."""
    given = request.headers.get("X-Request-Id", "")
    if not _CORRELATION.fullmatch(given):  # missing, or unsafe to log
        yield
        return

    request[_CORRELATION_ID] = given
    with structlog.contextvars.bound_contextvars(correlation_id=given):
        yield


async def add_request_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the request's name and correlation id to the response, and record that it begins.

    A handler of the `on_response_prepare` signal.
    """
    if REQUEST_ID in request:
        outcome = outcome_of(request)
        outcome.response = response
        outcome.http_status = response.status

        response.headers["Request-Name"] = request[REQUEST_ID]
        response.headers["X-Request-Id"] = request.get(_CORRELATION_ID, request[REQUEST_ID])
        response.headers.update(carried())


def close_connections_when(
    draining: asyncio.Event,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a handler of `on_response_prepare` that closes connections after their response."""

    async def close_connection(_request: web.Request, response: web.StreamResponse) -> None:
        if draining.is_set():
            response.force_close()
            response.headers["Connection"] = "close"

    return close_connection


async def _with_problems(
    request: web.Request, handler: Handler, fleet: Fleet, metrics: Metrics
) -> web.StreamResponse:
    try:
        _check_encoding(request)
        return await handler(request)
    except web.HTTPException as error:
        return _refusal(request, error)
    except PipelineError as failure:
        outcome = outcome_of(request)
        if outcome.whole and outcome.response is not None:
            log.warning("cleanup_failed", request=request[REQUEST_ID], code=failure.code)
            return outcome.response
        return _failure_response(request, failure, fleet, metrics)
    except asyncio.CancelledError:
        if outcome_of(request).response_begun and not outcome_of(request).whole:
            cut(request)
        raise
    except Exception as error:
        if isinstance(error, ConnectionError) and (
            request.transport is None or request.transport.is_closing()
        ):
            raise  # the client has disconnected

        unexpected = _unexpected(request, error)
        outcome = outcome_of(request)
        if outcome.whole and outcome.response is not None:
            return outcome.response  # only the cleanup failed
        return _failure_response(request, unexpected, fleet, metrics)


def _refusal(request: web.Request, error: web.HTTPException) -> web.Response:
    """Return the response to an unknown path or a wrong method."""
    allowed = error.allowed_methods if isinstance(error, web.HTTPMethodNotAllowed) else ()
    refusal = HttpFailure(error.status, allowed)
    outcome_of(request).failed(refusal.code, refusal.http_status)

    response = _failure_body(request, refusal)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))  # RFC 9110, 15.5.6
    return response


def _check_encoding(request: web.Request) -> None:
    """Refuse compressed bodies, even if no handler reads them: 5 KB of gzip can expand to 5 MB."""
    codings = ",".join(request.headers.getall("Content-Encoding", [])).split(",")
    if any(coding.strip().lower() not in ("", "identity") for coding in codings):
        raise UnsupportedEncoding("the body is compressed; send it without Content-Encoding")


def _unexpected(request: web.Request, error: Exception) -> PipelineError:
    """Return the failure for an unexpected exception; the log has its location, but not its message."""
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return InsufficientStorage("the disk of this server is full; retry later")

    log.error(
        "unexpected_failure",
        request=request[REQUEST_ID],
        error=type(error).__name__,
        places=places_of(error),
    )
    return UnexpectedFailure(
        "internal error; retry later, and report the request_id to the operator"
    )


def cut(request: web.Request) -> None:
    """Abort a response so that the client detects it: without the last chunk; with HTTP/1.0, by a reset."""
    transport = request.transport
    if transport is None:
        return

    connection = transport.get_extra_info("socket")
    if request.version < HttpVersion11 and connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    transport.abort()


def _failure_response(
    request: web.Request, failure: PipelineError, fleet: Fleet, metrics: Metrics
) -> web.StreamResponse:
    metrics.failures.labels(failure.code).inc()
    fail(failure.code)
    outcome = outcome_of(request)
    outcome.failed(failure.code, failure.http_status)

    if (left_out := _failure_log_limit.allows()) is not None or failure.http_status >= 500:
        log.warning(
            "request_failed",
            request=request[REQUEST_ID],
            code=failure.code,
            status_code=failure.http_status,
            message=f"status_code={failure.http_status}",  # for searches of the line
            cut=outcome.response_begun,
            **({"left_out": left_out} if left_out else {}),
        )

    if outcome.response_begun:
        cut(request)

    response = _failure_body(request, failure)
    _add_failure_headers(response, failure, fleet)
    return response


def _failure_body(request: web.Request, failure: PipelineError) -> web.Response:
    """Return the response of a failure, in the form that clients of the path expect."""
    if is_openai(request.path):
        return openai_error(failure)
    return problem(failure, request[REQUEST_ID])


def _add_failure_headers(response: web.Response, failure: PipelineError, fleet: Fleet) -> None:
    if isinstance(failure, RangeNotSatisfiable):
        response.headers["Content-Range"] = f"bytes */{failure.size}"
    if isinstance(failure, UnsupportedEncoding):
        response.headers["Accept-Encoding"] = "identity"  # RFC 9110, 15.5.16
    if failure.http_status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"

    retry_after_s = _retry_after_s(failure, fleet)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))


def _retry_after_s(failure: PipelineError, fleet: Fleet) -> float | None:
    if failure.retry_after_s is not None:
        return failure.retry_after_s

    if failure.code == QuotaUsedUp.code:
        return until_midnight_s()

    if failure.http_status in (429, HTTPStatus.SERVICE_UNAVAILABLE):
        measured_s = fleet.retry_after_s()
        return _UNMEASURED_RETRY_S if measured_s is None else measured_s

    return None


def _endpoint(request: web.Request) -> str:
    return request.match_info.route.name or ""


def _record_metrics(request: web.Request, metrics: Metrics) -> None:
    outcome = outcome_of(request)
    metrics.requests.labels(outcome.language, _endpoint(request), outcome.status).inc()
    metrics.outcomes.labels(_endpoint(request), outcome.availability).inc()

    # Clients that give up while a service is slow would otherwise be missing from its objectives.
    waited_s = outcome.late_wait_s
    if waited_s is not None:
        metrics.first_byte.labels(_endpoint(request)).observe(waited_s)

    if outcome.left:
        metrics.cancelled.inc()
        log.info("client_disconnected", request=request[REQUEST_ID])

    # A resumed response can be empty, if the client already had all of the audio: it is not measured.
    if outcome.whole and outcome.audio_bytes:
        metrics.duration.labels(outcome.language).observe(time.monotonic() - outcome.began_s)
        metrics.output.observe(outcome.audio_bytes)


def _log_completion(request: web.Request) -> None:
    """Log the outcome of a request, without its text or its voice."""
    outcome = outcome_of(request)
    first_s = outcome.first_audio_s

    log.info(
        "request_completed",
        endpoint=_endpoint(request),
        request=request[REQUEST_ID],
        tenant=request.get(TENANT),
        status=outcome.http_status,
        outcome=outcome.status,
        code=outcome.code or None,
        language=outcome.language or None,
        seconds=round(time.monotonic() - outcome.began_s, 3),
        first_audio_seconds=None if first_s is None else round(first_s - outcome.began_s, 3),
        bytes=outcome.audio_bytes,
        audio_seconds=round(outcome.audio_seconds, 3),
    )
