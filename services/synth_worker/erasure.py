"""Erases deleted voices from the worker's memory.

The deletion of a voice sends `VoiceForgotten` to every worker. It is a core NATS message, which can
be lost: so the worker also looks up the library voices that it holds, every 30 s and after each
reconnect. After a reconnect it drops the voices of uploads as well, which the bucket still has.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.listening import next_before
from services.common.bus.ports import Bus, Received
from services.common.runtime.lifecycle import tasks
from services.common.wire import codec
from services.common.wire.addressing import is_forget_of
from services.common.wire.failures import BusUnavailable, MalformedMessage
from services.common.wire.identity import library_voice_key
from services.common.wire.subjects import FORGETS
from services.common.wire.voices import VoiceForgotten
from services.synth_worker.voice_sources import OneOffVoice, VoiceRevision, VoiceSource
from services.synth_worker.voices import Voices

log = structlog.get_logger()

_CHECK_S: Final = 30.0
_RETRY_S: Final = 1.0
_POLL_S: Final = 0.25  # how often a reconnect is looked for
_MOST_WAITING: Final = 10_000  # messages


class VoiceErasure:
    """Drops voices from memory when they were deleted. `follow` runs it."""

    def __init__(self, bus: Bus, voices: Voices) -> None:
        self._bus = bus
        self._voices = voices

    async def follow(self, stop: asyncio.Event) -> None:
        """Listen and check until `stop` is set."""
        async with tasks() as group:
            group.create_task(self._listen(stop), name="forgets")
            group.create_task(self._check_until(stop), name="voice checks")

    async def _listen(self, stop: asyncio.Event) -> None:
        subscription = await self._bus.subscribe(FORGETS, limit=_MOST_WAITING)
        try:
            while not stop.is_set():
                received = await next_before(stop, subscription)
                if received is not None and (message := _forgotten(received)) is not None:
                    dropped = self._voices.forget(_matching(message))
                    _log(message.tenant, message.voice, dropped)
        finally:
            await subscription.close()

    async def _check_until(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        reconnects = self._bus.reconnects
        due_s = loop.time() + _CHECK_S

        while not stop.is_set():
            if self._bus.reconnects != reconnects:
                reconnects = self._bus.reconnects
                self._voices.drop_loaded(lambda source: isinstance(source, OneOffVoice))
                due_s = loop.time()

            if loop.time() >= due_s:
                due_s = loop.time() + (_CHECK_S if await self._check() else _RETRY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await stop.wait()

    async def _check(self) -> bool:
        """Drop the library voices that no longer exist; return False if NATS did not answer."""
        library = VoiceLibrary(self._bus)
        try:
            for held in self._voices.library_voices():
                if not await library.exists(*held):
                    await self._erase(held)
        except BusUnavailable:
            return False
        return True

    async def _erase(self, gone: VoiceRevision) -> None:
        """Drop a voice from memory, and what was stored of it after its deletion."""
        _log(gone.owner, gone.voice, self._voices.forget(lambda source: source == gone))
        made = library_voice_key(*gone, ">")
        await self._bus.purge(
            f"KV_{topology.VOICES}", topology.value_subject(topology.VOICES, made)
        )


def _matching(message: VoiceForgotten) -> Callable[[VoiceSource], bool]:
    """Return which voices a message is about."""

    def is_gone(source: VoiceSource) -> bool:
        if message.voice is None:
            return isinstance(source, OneOffVoice) and source.tenant == message.tenant
        if not isinstance(source, VoiceRevision):
            return False
        named = (source.owner, source.voice) == (message.tenant, message.voice)
        return named and (message.below is UNSET or source.revision < message.below)

    return is_gone


def _forgotten(received: Received) -> VoiceForgotten | None:
    """Return a message; None for one that is malformed, or of another tenant than its subject."""
    try:
        message = codec.decode(received.payload, VoiceForgotten)
    except MalformedMessage as error:
        log.warning("forget_malformed", detail=str(error))
        return None
    return message if is_forget_of(message, received.subject) else None


def _log(tenant: str, voice: str | None, dropped: int) -> None:
    if dropped:
        log.info("voices_forgotten", tenant=tenant, voice=voice or "", voices=dropped)
