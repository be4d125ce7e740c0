"""Heartbeats: the latest state of every live worker or splitter; dropped when heartbeats stop."""

import asyncio
from contextlib import suppress
from typing import Final, Generic, TypeVar

from services.common.bus.listening import next_before
from services.common.bus.ports import Bus
from services.common.wire import codec, subjects
from services.common.wire.addressing import is_heartbeat_of
from services.common.wire.failures import BusUnavailable, MalformedMessage
from services.common.wire.messages import SplitterState, WorkerState

HEARTBEAT_S: Final = 1.0
_EXPIRY_S: Final = 3.5 * HEARTBEAT_S

StateT = TypeVar("StateT", bound=WorkerState | SplitterState)


async def publish_heartbeats(bus: Bus, subject: str, state: WorkerState | SplitterState) -> None:
    """Publish a heartbeat. While NATS is down it is lost, and the process counts as dead."""
    with suppress(BusUnavailable):
        await bus.send(subject, codec.encode(state))


class Heartbeats(Generic[StateT]):
    """The latest heartbeats by the sender's subject; `follow` adds to them, reading never waits."""

    def __init__(self, bus: Bus, subject: str, kind: type[StateT]) -> None:
        self._bus = bus
        self._subject = subject
        self._kind = kind
        self._latest: dict[str, tuple[float, StateT]] = {}
        self._groups: set[str] = set()  # subjects without their last token, ever received
        self._followed_s: float | None = None  # since when
        self._changed = asyncio.Event()

    async def follow(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set."""
        listener = await self._bus.subscribe(self._subject, limit=1024)
        self._followed_s = asyncio.get_running_loop().time()
        try:
            while not stop.is_set():
                received = await next_before(stop, listener)
                if received is not None:
                    self._add(received.subject, received.payload)
        finally:
            await listener.close()

    def _add(self, subject: str, payload: bytes) -> None:
        try:
            state = codec.decode(payload, self._kind)
        except MalformedMessage:
            return  # not a heartbeat
        if not is_heartbeat_of(state, subject):
            return
        self._groups.add(subject.rpartition(".")[0])
        self._latest[subject] = (asyncio.get_running_loop().time(), state)
        self._changed.set()
        self._changed = asyncio.Event()

    def alive(self) -> list[StateT]:
        """Return the latest heartbeat of every live process."""
        expired_s = asyncio.get_running_loop().time() - _EXPIRY_S
        self._latest = {
            subject: entry for subject, entry in self._latest.items() if entry[0] >= expired_s
        }
        return [state for _, state in self._latest.values()]

    def heard_of(self, engine: str) -> bool:
        """Return whether a worker of an engine has sent a heartbeat since `follow` began, or may have before."""
        since_s = self._followed_s
        listening = since_s is not None and (
            asyncio.get_running_loop().time() - since_s >= _EXPIRY_S
        )
        return not listening or subjects.worker_state(engine, "").rpartition(".")[0] in self._groups

    async def news(self, timeout_s: float) -> None:
        """Wait for the next heartbeat of any process, or for the timeout."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return


def workers(bus: Bus) -> Heartbeats[WorkerState]:
    """Return the heartbeats of the workers of all engines."""
    return Heartbeats(bus, subjects.WORKERS, WorkerState)


def splitters(bus: Bus) -> Heartbeats[SplitterState]:
    """Return the heartbeats of the splitters."""
    return Heartbeats(bus, subjects.SPLITTERS, SplitterState)
