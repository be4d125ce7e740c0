"""Saves streams of a running JetStream server to files, and restores them.

The snapshot protocol of nats-server (JetStream API `STREAM.SNAPSHOT` and `STREAM.RESTORE`; schemas
io.nats.jetstream.api.v1.stream_snapshot_request and following), which nats-py does not speak. A folder holds, for each
stream, `backup.json` and `stream.tar.s2`.
"""

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from services.common.bus.nats.connection import NatsBus
from services.common.runtime.cancellation import cancellation_kept
from services.common.wire.failures import BusUnavailable

_CHUNK_BYTES: Final = 128 * 1024
_CHUNK_TIMEOUT_S: Final = 30.0
_DESCRIPTION: Final = "backup.json"
_CONTENT: Final = "stream.tar.s2"
_PRIVATE: Final = 0o600


class CannotCopy(Exception):
    """JetStream refused the operation; the message is the server's."""


async def streams(bus: NatsBus) -> list[str]:
    """Return the names of all streams; buckets and object stores are streams too (`KV_...`, `OBJ_...`)."""
    names: list[str] = []
    while True:
        page = await _request_json(bus.client, "$JS.API.STREAM.NAMES", {"offset": len(names)})
        names += page["streams"] or []
        if len(names) >= page["total"]:
            return names


async def save(bus: NatsBus, stream: str, folder: Path) -> int:
    """Save a stream, with its messages and consumers, to a new folder and return its size in bytes.

    Only this user can read it, as it holds texts and voices. Raises CannotCopy, BusUnavailable, FileExistsError.
    """
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True)
    inbox = bus.client.new_inbox()
    chunks = await bus.client.subscribe(inbox)
    try:
        wanted = {"deliver_subject": inbox, "chunk_size": _CHUNK_BYTES}
        described = await _request_json(bus.client, f"$JS.API.STREAM.SNAPSHOT.{stream}", wanted)
        size = await _write_chunks(chunks, folder / _CONTENT)
    finally:
        await chunks.unsubscribe()
    description = {"config": described["config"], "state": described["state"]}
    # last: without it the backup is incomplete
    path = folder / _DESCRIPTION
    path.touch(mode=_PRIVATE)
    path.write_bytes(msgspec.json.encode(description))
    return size


async def _write_chunks(chunks: Subscription, path: Path) -> int:
    size = 0
    await asyncio.to_thread(path.touch, mode=_PRIVATE)
    with path.open("wb") as file:
        while True:
            try:
                with cancellation_kept():
                    chunk = await chunks.next_msg(timeout=_CHUNK_TIMEOUT_S)
            except nats.errors.TimeoutError:
                raise BusUnavailable("NATS stopped during the snapshot; save it again") from None
            if not chunk.data:
                return _checked_size(chunk.headers or {}, size)
            size += await asyncio.to_thread(file.write, chunk.data)
            if chunk.reply:
                await chunk.respond(
                    b""
                )  # flow control: the server waits for this after some chunks


def _checked_size(headers: dict[str, str], size: int) -> int:
    if headers.get("Status", "204") != "204":
        raise CannotCopy(
            f"the snapshot was aborted: {headers.get('Description', headers['Status'])}"
        )
    return size


async def restore(bus: NatsBus, stream: str, folder: Path) -> int:
    """Restore a stream from the folder of `save` and return its message count.

    Raises CannotCopy, for example if the stream exists, BusUnavailable, FileNotFoundError.
    """
    description = msgspec.json.decode((folder / _DESCRIPTION).read_bytes())
    begun = await _request_json(bus.client, f"$JS.API.STREAM.RESTORE.{stream}", description)
    with (folder / _CONTENT).open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            await _request(bus.client, begun["deliver_subject"], chunk)
    made = _checked(await _request(bus.client, begun["deliver_subject"], b""))
    return int(made["state"]["messages"])


async def _request_json(client: Client, subject: str, wanted: dict[str, Any]) -> dict[str, Any]:
    return _checked(await _request(client, subject, msgspec.json.encode(wanted)))


async def _request(client: Client, subject: str, payload: bytes) -> bytes:
    try:
        return (await client.request(subject, payload, timeout=_CHUNK_TIMEOUT_S)).data
    except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
        raise BusUnavailable(
            "NATS does not answer; check that JetStream runs and that the user has permission"
        ) from None


def _checked(answer: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(answer)
    if error := decoded.get("error"):
        raise CannotCopy(error.get("description", str(error)))
    return decoded
