"""The audio of a request over HTTP, which is resumed until it is complete.

How it works. `SpeechStream` posts the form to `/stream` under a random `Request-Name` and an
`Idempotency-Key`, so that a repeated POST joins the first one and nothing is synthesized twice. If
the body breaks, the rest is read from `/requests/{id}/audio`:

- WAV and PCM from the byte that is missing. At the end of the body the same request shows whether
  anything is left; only an empty answer proves that the audio is complete, whatever a proxy did to
  the framing of the body.
- Other formats from the beginning. The service encodes equal audio to equal bytes, so the part that
  was already delivered is skipped, and its digest is compared.

Failures without progress in between are counted, and after `Retry.attempts` the stream raises
IncompleteAudio. A stream that is left before its end cancels its request on the service.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from hashlib import sha256
from typing import Final

import aiohttp

from voice_cloning_client.audio import AudioInfo, Format, format_named
from voice_cloning_client.block_stream import BlockStream
from voice_cloning_client.errors import (
    IncompleteAudio,
    ServiceError,
    Unavailable,
    VoiceCloningError,
)
from voice_cloning_client.retry import NEVER
from voice_cloning_client.speech import Speech
from voice_cloning_client.transport import Attempts, Call, Transport

_EXACT_ONLY: Final = (
    "this format cannot be checked behind a proxy that speaks HTTP/1.0; use wav or pcm"
)
_BEYOND_END: Final = 416


class SpeechStream(BlockStream):
    """The audio of one request, as it arrives: an asynchronous iterator of bytes.

    `info` is set when the first bytes have arrived. Leave the stream by `aclose`, or use it as a
    context manager; both cancel a request that is not complete.
    """

    def __init__(self, transport: Transport, speech: Speech, *, key: str | None = None) -> None:
        """Send nothing yet. `key`: the idempotency key; default: a random one."""
        self.info = AudioInfo()
        self.received_bytes = 0
        self.complete = False
        self._transport = transport
        self._speech = speech
        self._format: Format = format_named(speech.format)
        self._exact = self._format.exact_bytes and speech.sample_rate is None
        self._name = secrets.token_hex(16)
        self._key = key or self._name
        self._attempts = Attempts(transport.retry)
        self._digest = sha256()
        self._response: aiohttp.ClientResponse | None = None
        self._posted = False  # so the service may be working on it
        self._begun = False  # a response has arrived
        self._blocks = self._read()

    async def _read(self) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(self._until_complete()) as blocks:
                async for block in blocks:
                    yield block
            self.complete = True
        finally:
            self._drop_response()
            if self._posted and not self.complete:
                await self._cancel()

    async def _until_complete(self) -> AsyncGenerator[bytes, None]:
        framed = False  # whether the last body had an explicit end

        while True:
            received_before = self.received_bytes
            try:
                response = await self._next_response(check=framed)
                if response is None:
                    return

                async with aclosing(self._new_blocks(response)) as blocks:
                    async for block in blocks:
                        self._attempts.succeeded()
                        yield block

                framed = _has_length(response)
                if self._is_whole(framed=framed, grown=self.received_bytes > received_before):
                    return
            except Unavailable as error:
                framed = False
                await self._retry(error)
            except ServiceError as error:
                if framed and error.code == "unknown_request":
                    return  # expired in the meantime, and the body had its end
                raise self._with_bytes(error) from error
            finally:
                self._drop_response()

    def _is_whole(self, *, framed: bool, grown: bool) -> bool:
        """Return whether a body that has ended was the last one. Raises IncompleteAudio, Unavailable.

        `framed`: its end was explicit. `grown`: it had bytes that were missing.
        """
        if self._exact and grown:
            return False  # the next response shows whether anything is left
        if framed:
            return True
        if self._exact:
            raise Unavailable("the connection was closed before the first byte")
        raise self._incomplete(_EXACT_ONLY)

    async def _next_response(self, *, check: bool) -> aiohttp.ClientResponse | None:
        """Return the response with the next bytes. None: the service does not respond, but the body had its end."""
        if not self._begun:
            response = await self._post()
        else:
            try:
                response = await self._transport.open(self._resume(), self._attempts)
            except Unavailable:
                if check:
                    return None
                raise

        self._response = response
        if not self._begun:
            self._begun = True
            self.info = info_of(response)
            self._name = self.info.request_id or self._name
        return response

    async def _post(self) -> aiohttp.ClientResponse:
        self._posted = True
        call = Call(
            "POST",
            "/stream",
            headers={"Request-Name": self._name, "Idempotency-Key": f'"{self._key}"'},
            form=self._speech.form,
            response_s=self._transport.timeouts.first_audio_s,
        )
        try:
            return await self._transport.open(call, self._attempts)
        except ServiceError:
            self._posted = False
            raise

    def _resume(self) -> Call:
        offset = self.received_bytes if self._exact else 0
        return Call(
            "GET",
            f"/requests/{self._name}/audio",
            query=self._speech.output() | {"from": str(offset)},
            response_s=self._transport.timeouts.first_audio_s,
        )

    async def _new_blocks(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a body that were not delivered yet. Raises IncompleteAudio."""
        skip = 0 if self._exact else self.received_bytes
        skipped = sha256()

        idle_s = self._transport.timeouts.idle_s

        async with aclosing(self._transport.blocks(response, idle_s)) as blocks:
            async for received in blocks:
                skipped.update(received[:skip])
                block = received[skip:]
                repeated = len(received) - len(block)
                skip -= repeated

                if repeated and not skip and skipped.digest() != self._digest.digest():
                    raise self._incomplete("the service encoded the beginning differently")

                if block:
                    self._digest.update(block)
                    self.received_bytes += len(block)
                    yield block

        if skip:
            raise Unavailable("the response ended before the part that is missing")

    async def _retry(self, error: Unavailable) -> None:
        try:
            await self._attempts.failed(error)
        except VoiceCloningError:
            raise self._with_bytes(error) from None

    def _with_bytes(self, error: VoiceCloningError) -> VoiceCloningError:
        """Return the error that the caller gets: IncompleteAudio if it has a part of the audio."""
        if isinstance(error, ServiceError) and error.status == _BEYOND_END:
            return self._incomplete("more bytes arrived than the service has synthesized")
        return self._incomplete(str(error)) if self.received_bytes else error

    def _incomplete(self, reason: str) -> IncompleteAudio:
        return IncompleteAudio(reason, received_bytes=self.received_bytes, request_id=self._name)

    def _drop_response(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    async def _cancel(self) -> None:
        """Cancel the request on the service, which also stops if it notices the lost connection."""
        with suppress(VoiceCloningError, TimeoutError):
            async with asyncio.timeout(self._transport.timeouts.cancel_s):
                call = Call("DELETE", f"/requests/{self._name}")
                response = await self._transport.open(call, Attempts(NEVER))
                response.close()


def info_of(response: aiohttp.ClientResponse) -> AudioInfo:
    """Return what the headers of a response with audio say."""
    headers = response.headers
    return AudioInfo(
        request_id=headers.get("Request-Name", ""),
        sample_rate_hz=_number(headers.get("X-Sample-Rate")),
        seed=_number(headers.get("X-Seed")),
        language=headers.get("X-Language", ""),
        engine=headers.get("X-Engine", ""),
        voice=headers.get("X-Voice", ""),
        warnings=headers.get("X-Reference-Warning", ""),
        left_out=headers.get("X-Text-Left-Out", ""),
    )


def _number(header: str | None) -> int | None:
    return int(header) if header and header.isascii() and header.isdigit() else None


def _has_length(response: aiohttp.ClientResponse) -> bool:
    """Return whether a complete body can be distinguished from a cut one."""
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    return chunked or "Content-Length" in response.headers
