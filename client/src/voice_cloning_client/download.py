"""The download of one file, which survives interruptions."""

from collections.abc import Callable
from contextlib import aclosing

import aiohttp

from voice_cloning_client.errors import IncompleteAudio, ServiceError, Unavailable
from voice_cloning_client.files import NewFile
from voice_cloning_client.transport import Attempts, Call, Transport


class Download:
    """One file, resumed by ranges where the service has them, otherwise repeated from the beginning."""

    def __init__(self, transport: Transport, call: Call) -> None:
        """Set up the download of the body that `call` gets."""
        self._transport = transport
        self._call = call
        self._attempts = Attempts(transport.retry)
        self._etag = ""
        self._received = 0

    async def into(self, file: NewFile, progress: Callable[[int, int | None], None] | None) -> None:
        """Write the complete body. Raises IncompleteAudio."""
        while True:
            try:
                await self._attempt(file, progress)
            except Unavailable as error:
                await self._retry(error)
            else:
                return

    async def _attempt(
        self, file: NewFile, progress: Callable[[int, int | None], None] | None
    ) -> None:
        response = await self._transport.open(self._next_call(), self._attempts)

        try:
            if response.status != 206:
                self._received = 0
                file.truncate()
            total = _total(response, self._received)
            ranges = response.headers.get("Accept-Ranges") == "bytes" or response.status == 206
            self._etag = response.headers.get("ETag", "") if ranges else ""

            idle_s = self._transport.timeouts.idle_s
            async with aclosing(self._transport.blocks(response, idle_s)) as blocks:
                async for block in blocks:
                    file.write(block)
                    self._received += len(block)
                    if ranges:
                        self._attempts.succeeded()
                    if progress is not None:
                        progress(self._received, total)

            if total is not None and self._received != total:
                raise Unavailable(f"{self._received} of {total} bytes arrived")
            if total is None and not _is_chunked(response):
                raise self._incomplete("the end of the response cannot be checked; use wav")
        finally:
            response.close()

    def _next_call(self) -> Call:
        headers = {}
        if self._received and self._etag:
            headers = {"Range": f"bytes={self._received}-", "If-Range": self._etag}
        return Call(
            "GET",
            self._call.path,
            query=self._call.query,
            headers=headers,
            response_s=self._transport.timeouts.first_audio_s,
        )

    async def _retry(self, error: Unavailable) -> None:
        try:
            await self._attempts.failed(error)
        except Unavailable:
            raise self._incomplete(str(error)) if self._received else error from None

    def _incomplete(self, reason: str) -> IncompleteAudio:
        return IncompleteAudio(reason, received_bytes=self._received)


def _total(response: aiohttp.ClientResponse, offset: int) -> int | None:
    """Return the size of the complete body. Raises ServiceError if another range was sent."""
    if response.status != 206:
        return response.content_length

    given = response.headers.get("Content-Range", "")
    start, _, rest = given.removeprefix("bytes ").partition("-")
    total = rest.partition("/")[2]
    if start != str(offset) or not total.isdigit():
        raise ServiceError("bad_range", f"the service sent the range {given!r} instead", status=206)
    return int(total)


def _is_chunked(response: aiohttp.ClientResponse) -> bool:
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()
