"""Voices: from memory, else from the KV bucket that all workers share, else imported or computed from the clips.

A library voice can have been imported with what an engine computed of it elsewhere. It is used if it is of this engine
and model; otherwise the voice is computed from its clips, and refused if it has none.

The bucket stores a voice with its SHA-256 in front. A stored voice that does not match it, or that
the engine cannot read, is computed again and replaced. Built-in voices come from the engine.

How deletion is observed
------------------------
A voice can be deleted while a worker loads or computes it. So after every load of a library voice,
and after every computation, the worker checks that the recordings still exist; if not, it removes
what it stored and the sentence fails. The owner of a deleted voice marks it as deleted before it
purges the bucket, so whichever of the two comes first, nothing stays there. `forget` drops the
copies in memory, and marks those that are being loaded, so that they do not get there afterwards.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

import structlog

from services.common.bus import topology
from services.common.bus.library.made import sealed, unsealed
from services.common.bus.ports import Bus
from services.common.wire.failures import (
    EngineCrashed,
    MalformedMessage,
    QueueFull,
    SynthesisFailed,
    UnusableReference,
)
from services.common.wire.identity import library_voice_key, voice_key
from services.common.wire.options import AS_USUAL, Parameters
from services.synth_worker.metrics import Metrics
from services.synth_worker.ports import EngineClosed, EngineStuck, SpeakingEngine
from services.synth_worker.voice_sources import (
    ClipSource,
    EngineVoice,
    OneOffVoice,
    VoiceRevision,
    VoiceSource,
    exists,
    gone,
    read_clips,
    read_computed,
)

log = structlog.get_logger()


class _Key(NamedTuple):
    """A voice in memory."""

    source: VoiceSource
    gpt_cond_len: int | None  # seconds of the clips that are used; None: the engine's default


class _Made(NamedTuple):
    """A voice that was not in the bucket."""

    content: bytes  # serialised
    voice: Any  # in the engine's own type


class _Entry(NamedTuple):
    """A voice in memory, or on its way there."""

    task: asyncio.Task[Any]
    forgotten: asyncio.Event  # set while the task runs: its result must not be used


class Voices:
    """Voices of one worker's engine, with an LRU cache of `capacity` voices in memory."""

    def __init__(self, bus: Bus, model: SpeakingEngine, metrics: Metrics, *, capacity: int) -> None:
        self._bus = bus
        self._model = model
        self._metrics = metrics
        self._capacity = capacity
        self._cache: OrderedDict[_Key, _Entry] = OrderedDict()

    async def get(self, source: VoiceSource, parameters: Parameters = AS_USUAL) -> Any:
        """Return the voice of a source, in the engine's own type (opaque here).

        Concurrent calls for the same voice share one computation. Raises UnknownClip, UnknownVoice,
        UnusableReference, BusUnavailable.
        """
        # The engine receives only what is in the key: a voice must not depend on which request came first.
        length = None if isinstance(source, EngineVoice) else parameters.gpt_cond_len
        key = _Key(source, length)
        entry = self._cache.get(key)
        if entry is None:
            entry = self._begin(key)
        else:
            self._metrics.voices.labels("memory").inc()

        self._cache.move_to_end(key)
        self._evict()
        return await asyncio.shield(entry.task)

    def forget(self, is_gone: Callable[[VoiceSource], bool]) -> int:
        """Drop the matching voices from memory, and those that are being loaded; return how many."""
        keys = [key for key in self._cache if is_gone(key.source)]
        for key in keys:
            self._cache.pop(key).forgotten.set()
        return len(keys)

    def drop_loaded(self, is_dropped: Callable[[VoiceSource], bool]) -> None:
        """Drop the matching voices from memory; the next sentence gets them from the bucket."""
        for key, entry in list(self._cache.items()):
            if entry.task.done() and is_dropped(key.source):
                del self._cache[key]

    def library_voices(self) -> set[VoiceRevision]:
        """Return the library voices in memory."""
        return {key.source for key in self._cache if isinstance(key.source, VoiceRevision)}

    def _begin(self, key: _Key) -> _Entry:
        forgotten = asyncio.Event()
        entry = _Entry(asyncio.create_task(self._fetch(key, forgotten), name="voice"), forgotten)
        self._cache[key] = entry
        entry.task.add_done_callback(lambda done: self._drop_failed(key, done))
        return entry

    def _evict(self) -> None:
        """Drop the least recently used voices above the capacity; one that is being loaded stays."""
        excess = len(self._cache) - self._capacity
        if excess > 0:
            loaded = [key for key, entry in self._cache.items() if entry.task.done()]
            for key in loaded[:excess]:
                del self._cache[key]

    def _drop_failed(self, key: _Key, task: asyncio.Task[Any]) -> None:
        failed = task.cancelled() or task.exception() is not None
        entry = self._cache.get(key)
        if failed and entry is not None and entry.task is task:
            del self._cache[key]

    async def _fetch(self, key: _Key, forgotten: asyncio.Event) -> Any:
        if isinstance(key.source, EngineVoice):
            voice = await self._model.restore(await self._model.built_in(key.source.name))
            self._metrics.voices.labels("built-in").inc()
            return voice

        return await self._fetch_made(key.source, key.gpt_cond_len, forgotten)

    async def _fetch_made(
        self, source: ClipSource, gpt_cond_len: int | None, forgotten: asyncio.Event
    ) -> Any:
        """Return a voice that was made of clips. Raises UnknownClip, UnknownVoice if they were deleted."""
        key = self._bucket_key(source, gpt_cond_len)
        voice = await self._stored(key)
        computed = voice is None
        if computed:
            voice = await self._compute(key, source, Parameters(gpt_cond_len=gpt_cond_len))

        checked = computed or isinstance(source, VoiceRevision)
        deleted = checked and not await exists(self._bus, source)
        if deleted or forgotten.is_set():
            del voice  # the traceback of the error must not hold it
            await self._bus.drop_value(topology.VOICES, key)
            raise gone(source)
        return voice

    async def _stored(self, key: str) -> Any | None:
        """Return the voice that is stored in the bucket; None if there is none or it cannot be read."""
        stored = await self._bus.get_value(topology.VOICES, key)
        if stored is None:
            return None
        try:
            voice = await self._model.restore(unsealed(stored))
        except (EngineStuck, EngineClosed):
            raise
        except (MalformedMessage, SynthesisFailed, EngineCrashed) as failure:
            self._metrics.voices.labels("unreadable").inc()
            log.warning("voice_unreadable", key=key, stored_bytes=len(stored), reason=str(failure))
            return None
        self._metrics.voices.labels("shared").inc()
        return voice

    async def _compute(self, key: str, source: ClipSource, parameters: Parameters) -> Any:
        """Compute a voice, unless it was imported computed, and store it in the bucket."""
        made = await self._imported(source, parameters)
        if made is None:
            made = await self._conditioned(source, parameters)
        try:
            await self._bus.put_value(topology.VOICES, key, sealed(made.content))
        except QueueFull:
            log.warning("voice_not_shared", reason="the bucket is full")
        return made.voice

    async def _imported(self, source: ClipSource, parameters: Parameters) -> _Made | None:
        """Return what was computed of a voice elsewhere, if this engine can use it."""
        if not isinstance(source, VoiceRevision):
            return None
        engine = self._model.describe().name
        imported = await read_computed(self._bus, source, engine)
        if parameters != AS_USUAL and imported.has_clips:
            return None  # the length of the clips that was used elsewhere is unknown
        for content in imported.contents:
            try:
                made = _Made(content, await self._model.restore(content))
            except MalformedMessage as refusal:
                log.warning("imported_voice_unusable", voice=source.voice, reason=str(refusal))
                continue
            self._metrics.voices.labels("imported").inc()
            return made
        if not imported.has_clips:
            raise UnusableReference(
                f"the voice has no recordings, and the engine {engine} cannot use what was computed "
                f"for {imported.models}; select that engine, or add recordings (PUT /voices/ID/clips)"
            )
        return None

    async def _conditioned(self, source: ClipSource, parameters: Parameters) -> _Made:
        """Compute a voice from its clips."""
        recordings = await read_clips(self._bus, source)
        with self._metrics.conditioning.time():
            content = await self._model.condition(recordings, parameters)
        label = "computed" if isinstance(source, OneOffVoice) else "library"
        self._metrics.voices.labels(label).inc()
        return _Made(content, await self._model.restore(content))

    def _bucket_key(self, source: ClipSource, gpt_cond_len: int | None) -> str:
        """Return the bucket's key: of the source, the engine's version and the seconds of the clips that are used."""
        description = self._model.describe()
        length = () if gpt_cond_len is None else (str(gpt_cond_len),)
        if isinstance(source, VoiceRevision):
            return library_voice_key(*source, description.name, description.version, *length)

        digest = sha256("/".join((*source.clips, *length)).encode()).hexdigest()
        return voice_key(source.tenant, description.name, description.version, digest)
