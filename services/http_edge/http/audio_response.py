"""The response with audio: headers, length, ranges, stalled clients, and the end of the body.

How it works

Every route that returns audio uses one `AudioResponse`: `begin`, `write` for each block of PCM, `finish`. The encoder
decides what the body looks like; nothing else in the edge depends on a container format.

A client must always be able to detect that a body is incomplete. A body of unknown length is sent with chunked
encoding; on a failure the connection is closed without the last chunk (HTTP/1.0: it is reset, see `middleware.cut`). A
body of known length has a Content-Length, and its last bytes are held back until `finish`, so no client has all of it
before the handler has succeeded.

A format whose bytes do not correspond to samples has no known length and no ranges: its body is always chunked.
Encoders that compute run on a thread.

A client that reads nothing for `patience_s` is disconnected, so that it does not occupy memory or a worker.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Final, NamedTuple

from aiohttp import web

from services.http_edge.context import outcome_of
from services.http_edge.encoders.protocol import Encoder
from services.http_edge.encoders.registry import OutputFormat, output_format
from services.http_edge.encoders.tags import Tags
from services.http_edge.errors import ListenerStalled
from services.http_edge.http.ranges import ByteRange
from services.http_edge.speech.playback import Playback

CONTAINER_MARK: Final = "X-Container-Mark"
_LAST_BYTES: Final = 4096  # held back of a body of known length; small enough for one write


def container_mark(tags: Tags | None, encoder: Encoder) -> str:
    """Return the value of the header X-Container-Mark; the encoder's header was made."""
    if tags is None:
        return "off"
    return "metadata" if encoder.tagged else "none"


class AudioStream(NamedTuple):
    """PCM whose first chunk is available, so the response can begin."""

    first: bytes
    rest: AsyncGenerator[bytes, None]
    playback: Playback


async def write(response: web.StreamResponse, content: bytes, patience_s: float) -> None:
    """Write bytes. Raises ListenerStalled if the client reads none of them for `patience_s`."""
    async with _client_reads(patience_s):
        await response.write(content)


async def write_last(
    request: web.Request, response: web.StreamResponse, content: bytes, patience_s: float
) -> None:
    """Write the last bytes of a body and end it. From then on the request counts as a success.

    A client that has received the last byte can close its connection immediately, which cancels the handler.
    Raises ListenerStalled.
    """
    try:
        async with _client_reads(patience_s):
            await response.write_eof(content)
    except asyncio.CancelledError:
        # Every byte was written to the connection; only the drain was pending.
        outcome_of(request).whole = True
        raise

    outcome_of(request).whole = True


def requested_format(request: web.Request) -> OutputFormat:
    """Return the format that the query or `Accept` of a GET request selects; WAV if neither does. Raises BadRequest."""
    return output_format(
        request.query.get("response_format"),
        request.query.get("sample_rate"),
        accept=request.headers.get("Accept", ""),
        default="wav",
    )


class AudioResponse:
    """A response whose body is encoded audio. Every method can raise ListenerStalled."""

    def __init__(
        self,
        request: web.Request,
        output: OutputFormat,
        *,
        tags: Tags | None,
        sample_rate_hz: int,
        patience_s: float,
    ) -> None:
        """`tags`: None for no metadata. `sample_rate_hz`: of the PCM.

        `patience_s`: how long the client can read nothing.
        """
        self.response = web.StreamResponse()
        self._request = request
        self._output = output
        self._tags = tags
        self._encoder = output.encoder(sample_rate_hz, tags)
        self._sample_rate_hz = sample_rate_hz
        self._patience_s = patience_s
        self._outcome = outcome_of(request)
        self._held_back = b""
        self._known_length = False
        self._of_trailer = slice(None)  # what is sent of it
        self._header: bytes | None = None  # None before it is made

    def size(self, data_bytes: int) -> int:
        """Return the size of the body with so many bytes of PCM, which `begin` is called with as well."""
        return len(self._made_header(data_bytes)) + data_bytes + self._encoder.trailer_bytes

    async def begin(
        self,
        headers: Mapping[str, str],
        *,
        data_bytes: int | None = None,
        offset: int = 0,
        byte_range: ByteRange | None = None,
    ) -> None:
        """Send the head of the response, and the part of the encoder's header that the client needs.

        `data_bytes`: size of all PCM, if it is known; then `byte_range` is the requested part of the body, which
        makes the status 206. If it is unknown, `offset` is the number of bytes that the client has already.
        """
        header = self._made_header(data_bytes)
        self.response.headers.update(headers)
        self.response.headers["X-Sample-Rate"] = str(self._output.rate(self._sample_rate_hz))
        self.response.headers[CONTAINER_MARK] = container_mark(self._tags, self._encoder)
        self.response.content_type = self._encoder.content_type

        if data_bytes is not None and self._encoder.header_bytes is not None:
            self._known_length = True
            audio_end = len(header) + data_bytes
            whole = self.size(data_bytes)
            sent = byte_range or ByteRange(0, whole)
            self._of_trailer = slice(max(0, sent.start - audio_end), max(0, sent.end - audio_end))
            self.response.content_length = sent.end - sent.start
            header = header[: sent.end]
            offset = sent.start

            if byte_range is not None:
                self.response.set_status(206)
                self.response.headers["Content-Range"] = (
                    f"bytes {sent.start}-{sent.end - 1}/{whole}"
                )

        self._outcome.sample_rate_hz = self._sample_rate_hz
        await self.response.prepare(self._request)
        await self._send(header[offset:])

    async def write(self, pcm: bytes) -> None:
        """Send a block of PCM."""
        self._outcome.record_first_audio()
        await self._send(await self._encoded(self._encoder.encode, pcm))
        self._outcome.audio_bytes += len(pcm)

    async def add(self, content: bytes) -> None:
        """Send bytes that are not audio, such as an event of an event stream."""
        await self._send(content)

    async def finish(self) -> web.StreamResponse:
        """Send the remaining bytes and end the body. Raises ListenerStalled."""
        last = self._held_back

        if self._request.method != "HEAD":
            last += (await self._encoded(self._encoder.end))[self._of_trailer]

        await write_last(self._request, self.response, last, self._patience_s)
        return self.response

    def _made_header(self, data_bytes: int | None) -> bytes:
        if self._header is None:
            self._header = self._encoder.header(self._sample_rate_hz, data_bytes)
        return self._header

    async def _encoded(self, encode: Callable[..., bytes], *content: bytes) -> bytes:
        """Encode on a thread, if the encoder takes long enough."""
        if self._encoder.in_thread:
            return await asyncio.to_thread(encode, *content)
        return encode(*content)

    async def _send(self, content: bytes) -> None:
        if self._request.method == "HEAD":
            return

        if self._known_length:
            content = self._held_back + content
            content, self._held_back = content[:-_LAST_BYTES], content[-_LAST_BYTES:]

        if content:
            await write(self.response, content, self._patience_s)


async def send_stream(audio: AudioResponse, stream: AudioStream) -> web.StreamResponse:
    """Send PCM as it is produced, after `begin`, and measure its playback.

    A failure of the stream cuts the body. Raises ListenerStalled.
    """
    playback = stream.playback
    pcm = stream.first

    async with aclosing(stream.rest) as rest:
        try:
            while True:
                playback.record_sent(len(pcm), time.monotonic())

                if pcm:
                    await audio.write(pcm)
                    playback.taken(time.monotonic())

                with playback.ticking():
                    try:
                        pcm = await anext(rest)
                    except StopAsyncIteration:
                        break
        finally:
            playback.end()

    return await audio.finish()


@asynccontextmanager
async def _client_reads(patience_s: float) -> AsyncIterator[None]:
    """Raise ListenerStalled if the block takes longer than `patience_s`."""
    try:
        async with asyncio.timeout(patience_s):
            yield
    except TimeoutError:
        raise ListenerStalled(
            f"no audio was read for {patience_s:.0f} s; read faster, or request a shorter text"
        ) from None
