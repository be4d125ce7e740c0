"""Incremental parser of multipart/form-data bodies (RFC 7578), with limits on everything except content.

How it works

`MultipartBody.next` returns the next event of the body: a `FormPart`, the bytes of its content in blocks, and None at
the end. If no event is queued, it reads from the connection, within the idle timeout, and feeds at most
`_BLOCK_BYTES` to python-multipart, which calls back for parts, headers and content. A block takes a few milliseconds
at worst (lines that almost match the boundary, tiny parts), and the event loop runs after each. `turn` lets one body
at a time parse a block, so a hundred bodies delay other connections as little as one does.

Besides content, a body can have a preamble and an epilogue of about a block each, `_MAX_PARTS` parts, and
`_MAX_HEADERS` headers of `_HEADER_BYTES` per part. Content is not decoded: compressed or encoded parts are refused.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.helpers import parse_mimetype
from aiohttp.http_exceptions import HttpProcessingError
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from services.http_edge.errors import BadRequest, UnsupportedEncoding

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_BLOCK_BYTES: Final = 16 * 1024
_EXTRA_BYTES: Final = 1024  # of a preamble, and of an epilogue; counted in whole blocks
_MAX_PARTS: Final = 64
_MAX_HEADERS: Final = 8  # per part
_HEADER_BYTES: Final = 2048  # per header; allows long file names
_BOUNDARY_CHARACTERS: Final = 70  # RFC 2046, 5.1.1
_PLAIN: Final = frozenset({b"", b"binary", b"8bit", b"7bit", b"identity"})

# It logs a warning for each invalid body, which the client is informed of anyway.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class FormPart:
    """The beginning of a part of the body."""

    name: str  # of the form field; empty if it has none
    has_file_name: bool = False


class MultipartBody:
    """The body of a request, part by part."""

    def __init__(
        self,
        request: web.Request,
        *,
        turn: asyncio.Lock,
        idle_s: float,
        received: Callable[[int], None],
    ) -> None:
        """Raises BadRequest for an invalid boundary.

        `received` is called with the size of every read, and can raise.
        """
        self._content = request.content
        self._turn = turn
        self._idle_s = idle_s
        self._received = received
        self._unfed = b""
        self._offset = 0  # of the first byte in `_unfed` that was not fed to the parser
        self._found = _Found()
        self._parser = MultipartParser(
            _boundary(request),
            self._found.callbacks(),
            max_header_count=_MAX_HEADERS,
            max_header_size=_HEADER_BYTES,
        )
        self._preamble_bytes = 0
        self._epilogue_bytes = 0

    async def next(self) -> FormPart | bytes | None:
        """Return the next part, or content of the last returned part, or None at the end.

        Raises TimeoutError if no data arrives in time, BadRequest and UnsupportedEncoding for an invalid body.
        """
        while not self._found.events:
            block = await self._block()
            if not block:
                self._check_end()
                return None

            async with self._turn:
                self._feed(block)
                await asyncio.sleep(0)

        return self._found.events.popleft()

    async def _block(self) -> bytes:
        """Return the next bytes of the body, at most `_BLOCK_BYTES`; empty at the end."""
        if self._offset >= len(self._unfed):
            try:
                async with asyncio.timeout(self._idle_s):
                    self._unfed = await self._content.readany()
                    self._offset = 0
            except (web.RequestPayloadError, HttpProcessingError):
                raise BadRequest(
                    "the body is malformed; send a Content-Length, or use HTTP/1.1 chunked encoding"
                ) from None

            self._received(len(self._unfed))

        block = self._unfed[self._offset : self._offset + _BLOCK_BYTES]
        self._offset += len(block)
        return block

    def _feed(self, block: bytes) -> None:
        if self._found.ended:
            self._epilogue_bytes += len(block)
        else:
            try:
                self._parser.write(block)
            except FormParserError as error:
                raise BadRequest(
                    f"the multipart body is malformed ({type(error).__name__}); send multipart/form-data"
                ) from None

            if not self._found.parts:
                self._preamble_bytes += len(block)

        if max(self._preamble_bytes, self._epilogue_bytes) > _EXTRA_BYTES:
            raise BadRequest("the multipart body has data outside its parts; send only the parts")

    def _check_end(self) -> None:
        if not self._found.ended:
            raise BadRequest("the multipart body is incomplete; end it with the closing boundary")


class _Found:
    """Collects the events of the parser."""

    def __init__(self) -> None:
        self.events: deque[FormPart | bytes] = deque()
        self.parts = 0
        self.ended = False
        self._name = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}

    def callbacks(self) -> "MultipartCallbacks":
        """Return the callbacks of the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._start,
            "on_part_data": lambda data, start, end: self.events.append(data[start:end]),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self.parts += 1
        if self.parts > _MAX_PARTS:
            raise BadRequest(f"the form has more than {_MAX_PARTS} parts; send fewer")

        self._headers.clear()

    def _header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value).strip()
        self._name.clear()
        self._value.clear()

    def _start(self) -> None:
        for name in (b"content-encoding", b"content-transfer-encoding"):
            if self._headers.get(name, b"").lower() not in _PLAIN:
                raise UnsupportedEncoding(
                    "a part of the form is compressed or encoded; send it unencoded"
                )

        if self._headers.get(b"content-type", b"").lower().startswith(b"multipart/"):
            raise BadRequest("a part of the form is itself multipart; send plain fields")

        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        field_name = options.get(b"name", b"").decode("utf-8", "replace")
        self.events.append(FormPart(field_name, bool(options.get(b"filename"))))

    def _end(self) -> None:
        self.ended = True


def _boundary(request: web.Request) -> bytes:
    boundary = parse_mimetype(request.headers.get("Content-Type", "")).parameters.get(
        "boundary", ""
    )
    if not 1 <= len(boundary) <= _BOUNDARY_CHARACTERS or not boundary.isascii():
        raise BadRequest(
            f"the Content-Type needs a boundary of 1 to {_BOUNDARY_CHARACTERS} ASCII characters",
            field="Content-Type",
        )
    return boundary.encode()
