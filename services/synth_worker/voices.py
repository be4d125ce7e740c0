"""Voices: from this process's memory, else from the bucket that all workers share, else computed from the clips.

The bucket keeps a voice behind its SHA-256. A stored voice that does not match it, or that the engine cannot read, is
computed again and replaced.
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
from services.common.wire.failures import EngineCrashed, MalformedMessage, QueueFull, SynthesisFailed
from services.common.wire.identity import voice_key
from services.common.wire.messages import AS_USUAL, Parameters
from services.synth_worker.metrics import Metrics
from services.synth_worker.ports import EngineClosed, EngineStuck, SpeakingEngine

log = structlog.get_logger()

_DIGEST_BYTES: Final = 32


class Voices:
    """The voices of one worker's engine, the latest `capacity` of them in memory."""

    def __init__(self, bus: Bus, model: SpeakingEngine, metrics: Metrics, *, capacity: int) -> None:
        self._bus = bus
        self._model = model
        self._metrics = metrics
        self._capacity = capacity
        self._kept: OrderedDict[str, asyncio.Task[Any]] = OrderedDict()

    async def get(self, tenant: str, clips: tuple[str, ...], parameters: Parameters = AS_USUAL) -> Any:
        """Return the engine's voice (its own type, passed back to it unseen) for these clips of a tenant.

        Sentences that ask for the same voice at the same time share one computation. Raises UnknownClip,
        UnusableReference, BusUnavailable.
        """
        # The engine sees what is in the key and nothing else: a voice must not depend on who asked for it first.
        shaping = Parameters(gpt_cond_len=parameters.gpt_cond_len)
        key = self._key(tenant, clips, shaping)
        task = self._kept.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(key, tenant, clips, shaping), name="voice")
            self._kept[key] = task
            task.add_done_callback(lambda done: self._forget_failure(key, done))
        else:
            self._metrics.voices.labels("memory").inc()
        self._kept.move_to_end(key)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return await asyncio.shield(task)

    def _forget_failure(self, key: str, task: asyncio.Task[Any]) -> None:
        if (task.cancelled() or task.exception() is not None) and self._kept.get(key) is task:
            del self._kept[key]

    async def _fetch(self, key: str, tenant: str, clips: tuple[str, ...], parameters: Parameters) -> Any:
        voice = await self._stored(key)
        if voice is None:
            voice = await self._model.restore(await self._compute(key, tenant, clips, parameters))
        return voice

    async def _stored(self, key: str) -> Any | None:
        """Return the engine's voice of what the bucket holds; None where that is nothing, or cannot be read."""
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

    async def _compute(self, key: str, tenant: str, clips: tuple[str, ...], parameters: Parameters) -> bytes:
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
        """Return the bucket's key: another engine version computes another voice, and so does more of the clips."""
        description = self._model.describe()
        length = () if parameters.gpt_cond_len is None else (str(parameters.gpt_cond_len),)
        parts = (*clips, *length)
        digest = sha256("/".join(parts).encode()).hexdigest()
        return voice_key(tenant, description.name, description.version, digest)


def _sealed(voice: bytes) -> bytes:
    """Return what the bucket keeps of a voice: its SHA-256, then its bytes."""
    return sha256(voice).digest() + voice


def _unsealed(stored: bytes) -> bytes:
    """Return the voice. Raises MalformedMessage where its bytes are not those that were stored."""
    digest, voice = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
    if sha256(voice).digest() != digest:
        raise MalformedMessage("the stored voice does not match its SHA-256")
    return voice
