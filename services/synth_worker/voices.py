"""Voices: from memory, else from the KV bucket that all workers share, else computed from the clips.

The bucket stores a voice with its SHA-256 in front. A stored voice that does not match it, or that the engine cannot
read, is computed again and replaced.
"""

import asyncio
from collections import OrderedDict
from hashlib import sha256
from typing import Any, Final

import structlog

from services.common.audio.wav import read_wav
from services.common.bus import topology
from services.common.bus.clips import fetch_clip
from services.common.bus.ports import Bus
from services.common.wire.failures import (
    EngineCrashed,
    MalformedMessage,
    QueueFull,
    SynthesisFailed,
)
from services.common.wire.identity import voice_key
from services.common.wire.messages import AS_USUAL, Parameters
from services.synth_worker.metrics import Metrics
from services.synth_worker.ports import EngineClosed, EngineStuck, SpeakingEngine

log = structlog.get_logger()

_DIGEST_BYTES: Final = 32


class Voices:
    """Voices of one worker's engine, with an LRU cache of `capacity` voices in memory."""

    def __init__(self, bus: Bus, model: SpeakingEngine, metrics: Metrics, *, capacity: int) -> None:
        self._bus = bus
        self._model = model
        self._metrics = metrics
        self._capacity = capacity
        self._cache: OrderedDict[str, asyncio.Task[Any]] = OrderedDict()

    async def get(
        self, tenant: str, clips: tuple[str, ...], parameters: Parameters = AS_USUAL
    ) -> Any:
        """Return the voice for these clips of a tenant, in the engine's own type (opaque here).

        Concurrent calls for the same voice share one computation. Raises UnknownClip,
        UnusableReference, BusUnavailable.
        """
        # The engine receives only what is in the key: a voice must not depend on which request came first.
        shaping = Parameters(gpt_cond_len=parameters.gpt_cond_len)
        key = self._key(tenant, clips, shaping)
        task = self._cache.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(key, tenant, clips, shaping), name="voice")
            self._cache[key] = task
            task.add_done_callback(lambda done: self._forget_failure(key, done))
        else:
            self._metrics.voices.labels("memory").inc()
        self._cache.move_to_end(key)
        while len(self._cache) > self._capacity:
            self._cache.popitem(last=False)
        return await asyncio.shield(task)

    def _forget_failure(self, key: str, task: asyncio.Task[Any]) -> None:
        if (task.cancelled() or task.exception() is not None) and self._cache.get(key) is task:
            del self._cache[key]

    async def _fetch(
        self, key: str, tenant: str, clips: tuple[str, ...], parameters: Parameters
    ) -> Any:
        voice = await self._stored(key)
        if voice is None:
            voice = await self._model.restore(await self._compute(key, tenant, clips, parameters))
        return voice

    async def _stored(self, key: str) -> Any | None:
        """Return the voice that is stored in the bucket; None if there is none or it cannot be read."""
        stored = await self._bus.get_value(topology.VOICES, key)
        if stored is None:
            return None
        try:
            voice = await self._model.restore(_unsealed(stored))
        except (EngineStuck, EngineClosed):
            raise
        except (MalformedMessage, SynthesisFailed, EngineCrashed) as failure:
            self._metrics.voices.labels("unreadable").inc()
            log.warning("voice_unreadable", key=key, stored_bytes=len(stored), reason=str(failure))
            return None
        self._metrics.voices.labels("shared").inc()
        return voice

    async def _compute(
        self, key: str, tenant: str, clips: tuple[str, ...], parameters: Parameters
    ) -> bytes:
        recordings = [read_wav(await fetch_clip(self._bus, tenant, clip)) for clip in clips]
        with self._metrics.conditioning.time():
            voice = await self._model.condition(recordings, parameters)
        self._metrics.voices.labels("computed").inc()
        try:
            await self._bus.put_value(topology.VOICES, key, _sealed(voice))
        except QueueFull:
            log.warning("voice_not_shared", reason="the bucket is full")
        return voice

    def _key(self, tenant: str, clips: tuple[str, ...], parameters: Parameters) -> str:
        """Return the bucket's key: of the clips, the engine's version and the seconds of the clips that are used."""
        description = self._model.describe()
        length = () if parameters.gpt_cond_len is None else (str(parameters.gpt_cond_len),)
        parts = (*clips, *length)
        digest = sha256("/".join(parts).encode()).hexdigest()
        return voice_key(tenant, description.name, description.version, digest)


def _sealed(voice: bytes) -> bytes:
    """Return a voice as the bucket stores it: its SHA-256, then its bytes."""
    return sha256(voice).digest() + voice


def _unsealed(stored: bytes) -> bytes:
    """Return the voice of a stored value. Raises MalformedMessage if its SHA-256 does not match."""
    digest = stored[:_DIGEST_BYTES]
    voice = stored[_DIGEST_BYTES:]
    if sha256(voice).digest() != digest:
        raise MalformedMessage("the stored voice does not match its SHA-256")
    return voice
