"""HTTP requests with limits: timeouts, retries, and errors as types.

How it works. `Transport.open` sends a request until a response below 400 arrives, and returns it
with its body unread. A refusal that is retryable is repeated after `Retry-After`; so is a broken
connection, but only if the request is `repeatable`: reading, deleting, or a POST with an
idempotency key. Any other request may have had its effect before the connection broke, so it is
repeated only if no connection was made at all. Every wait has a limit.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from voice_cloning_client.errors import ServiceError, Unavailable, VoiceCloningError, service_error
from voice_cloning_client.retry import Retry, retry_after_s
from voice_cloning_client.settings import Access, Timeouts

_MAX_BODY: Final = 16 * 1024 * 1024  # of a JSON response
_MAX_PROBLEM: Final = 64 * 1024
_NO_EFFECT: Final = (
    429,
    503,
)  # other refusals of a gateway can follow a request that was processed
_REDIRECTS: Final = range(300, 400)


@dataclass(frozen=True)
class Call:
    """One request to the service. `form` makes its body again for each attempt."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Callable[[], aiohttp.FormData] | None = None
    json: Any = None
    repeatable: bool = True
    response_s: float | None = None  # until the response begins, upload included


class Attempts:
    """Counts failures in a row, and waits between them."""

    def __init__(self, retry: Retry) -> None:
        """Start without failures."""
        self._retry = retry
        self._failures = 0

    def succeeded(self) -> None:
        """Start to count from 0 again, as there was progress."""
        self._failures = 0

    async def failed(self, error: VoiceCloningError) -> None:
        """Wait until the next attempt. Raises the error if there is none."""
        self._failures += 1
        wait_s = error.retry_after_s if isinstance(error, ServiceError) else None
        delay_s = self._retry.delay_s(self._failures, wait_s)

        if delay_s is None:
            raise error

        await asyncio.sleep(delay_s)


class Transport:
    """A connection pool to one service. Use it within one event loop, and close it."""

    def __init__(self, access: Access, timeouts: Timeouts, retry: Retry) -> None:
        """Connect with the first request."""
        self.access = access
        self.timeouts = timeouts
        self.retry = retry
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def open(self, call: Call, attempts: Attempts | None = None) -> aiohttp.ClientResponse:
        """Return a response below 400, which the caller closes. Raises ServiceError, Unavailable."""
        attempts = attempts or Attempts(self.retry)

        while True:
            try:
                return await self._send(call)
            except ServiceError as error:
                if not error.retryable or not (call.repeatable or error.status in _NO_EFFECT):
                    raise
                await attempts.failed(error)
            except _NotSent as error:
                await attempts.failed(error.unavailable())
            except Unavailable as error:
                if error.timed_out or not call.repeatable:
                    raise
                await attempts.failed(error)

    async def json(self, call: Call) -> dict[str, Any]:
        """Return the JSON object of a response; an empty one for a response without a body."""
        content = await self.content(call)
        if not content:
            return {}

        try:
            body = json.loads(content)
        except ValueError:
            body = None

        if not isinstance(body, dict):
            raise Unavailable(
                f"{self.access.url} does not answer as the service does; check the address"
            )
        return body

    async def content(self, call: Call, limit: int = _MAX_BODY) -> bytes:
        """Return a complete body; a body that breaks is requested again, if that is safe."""
        attempts = Attempts(self.retry)

        while True:
            response = await self.open(call, attempts)
            try:
                return await self._body(response, limit)
            except Unavailable as error:
                if not call.repeatable:
                    raise
                await attempts.failed(error)
            finally:
                response.close()

    async def blocks(
        self, response: aiohttp.ClientResponse, idle_s: float
    ) -> AsyncGenerator[bytes, None]:
        """Yield a body as it arrives. Raises Unavailable if it breaks, or nothing arrives for `idle_s`."""
        while True:
            try:
                async with asyncio.timeout(idle_s):
                    block = await response.content.readany()
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise Unavailable(
                    f"the connection to {self.access.url} broke ({_reason(error)}); retry later"
                ) from None

            if not block:
                return
            yield block

    async def _body(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        content = bytearray()
        async with aclosing(self.blocks(response, self.timeouts.response_s)) as blocks:
            async for block in blocks:
                content += block
                if len(content) > limit:
                    raise ServiceError("too_large", f"the response has more than {limit} bytes")
        return bytes(content)

    async def _send(self, call: Call) -> aiohttp.ClientResponse:
        response_s = call.response_s or self.timeouts.response_s

        try:
            async with asyncio.timeout(response_s):
                response = await self._request(call)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _NotSent(self.access.url, _reason(error)) from None
        except TimeoutError:
            raise Unavailable(
                f"{self.access.url} did not respond within {response_s:g} s; retry later",
                timed_out=True,
            ) from None
        except aiohttp.InvalidURL:
            raise Unavailable(f"{self.access.url} is not a valid address") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(
                f"the connection to {self.access.url} broke ({_reason(error)}); retry later"
            ) from None

        if response.status < 300:
            return response

        try:
            raise await self._refusal(response)
        finally:
            response.close()

    async def _request(self, call: Call) -> aiohttp.ClientResponse:
        return await self._open_session().request(
            call.method,
            f"{self.access.url}{call.path}",
            params=dict(call.query) or None,
            headers={
                "Accept-Encoding": "identity",
                **self.access.headers(),
                **call.headers,
            },
            data=None if call.form is None else call.form(),
            json=call.json,
            allow_redirects=False,  # another host must not get the key
            timeout=aiohttp.ClientTimeout(total=None, connect=self.timeouts.connect_s),
        )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=False)
        return self._session

    async def _refusal(self, response: aiohttp.ClientResponse) -> ServiceError:
        """Return the error that a response stands for; a proxy's page has no problem in it."""
        try:
            async with asyncio.timeout(self.timeouts.response_s):
                content = await response.content.read(_MAX_PROBLEM)
            problem = json.loads(content)
        except (ValueError, TimeoutError, aiohttp.ClientError, OSError):
            problem = {}

        reason = response.reason or "no reason given"
        if response.status in _REDIRECTS:
            target = response.headers.get("Location", "another address")
            reason = f"the service is at {target}; use that address"

        return service_error(
            response.status,
            problem if isinstance(problem, dict) else {},
            reason=reason,
            retry_after_s=retry_after_s(response.headers.get("Retry-After")),
        )


class _NotSent(Exception):
    """No connection was made, so the request had no effect."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(reason)
        self.url = url

    def unavailable(self) -> Unavailable:
        return Unavailable(
            f"cannot connect to {self.url} ({self}); check the address, and that the service runs"
        )


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.strerror:
        return error.os_error.strerror.lower()
    if isinstance(error, TimeoutError):
        return "timed out"
    return type(error).__name__
