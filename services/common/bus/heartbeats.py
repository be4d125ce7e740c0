"""Heartbeats: the latest state of every live worker or splitter, dropped when it falls silent."""

import asyncio
from contextlib import suppress
from typing import Final, Generic, TypeVar

from services.common.bus.ports import Bus
from services.common.wire import codec, subjects
from services.common.wire.addressing import is_heartbeat_of
from services.common.wire.failures import BusUnavailable, MalformedMessage
from services.common.wire.messages import SplitterState, WorkerState

HEARTBEAT_S: Final = 1.0
_SILENCE_S: Final = 3.5 * HEARTBEAT_S

StateT = TypeVar("StateT", bound=WorkerState | SplitterState)


async def publish_heartbeats(bus: Bus, subject: str, state: WorkerState | SplitterState) -> None:
    """Publish this process's heartbeat. While NATS is down it is lost, and the process counts as dead."""
    with suppress(BusUnavailable):
        await bus.send(subject, codec.encode(state))


class Heartbeats(Generic[StateT]):
    """A table of heartbeats, by the sender's subject. `follow` fills it; reading it never waits."""

    def __init__(self, bus: Bus, subject: str, kind: type[StateT]) -> None:
        self._bus = bus
        self._subject = subject
        self._kind = kind
        self._last: dict[str, tuple[float, StateT]] = {}
        self._news = asyncio.Event()

    async def follow(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set."""
        listener = await self._bus.subscribe(self._subject, limit=1024)
        try:
            while not stop.is_set():
                heard = await listener.next(HEARTBEAT_S)
                if heard is not None:
                    self._hear(heard.subject, heard.payload)
        finally:
            await listener.close()

    def _hear(self, subject: str, payload: bytes) -> None:
        try:
            state = codec.decode(payload, self._kind)
        except MalformedMessage:
            return  # a stranger on the subject is no worker
        if not is_heartbeat_of(state, subject):
            return
        self._last[subject] = (asyncio.get_running_loop().time(), state)
        self._news.set()
        self._news = asyncio.Event()

    def alive(self) -> list[StateT]:
        """Return the latest heartbeat of every live process."""
        oldest_s = asyncio.get_running_loop().time() - _SILENCE_S
        self._last = {subject: said for subject, said in self._last.items() if said[0] >= oldest_s}
        return [state for _, state in self._last.values()]

    async def news(self, timeout_s: float) -> None:
        """Wait for the next heartbeat of any process, at most so long."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            return


def workers(bus: Bus) -> Heartbeats[WorkerState]:
    """Return the table of workers, of all engines."""
    return Heartbeats(bus, subjects.WORKERS, WorkerState)


def splitters(bus: Bus) -> Heartbeats[SplitterState]:
    """Return the table of splitters."""
    return Heartbeats(bus, subjects.SPLITTERS, SplitterState)
