"""The library of the voices that tenants keep: records in a key-value bucket, clips in an object store.

How it works

A voice is one value, `voice.<tenant>.<id>` in `TTS_LIBRARY`, which is changed by compare-and-set and contains its
state. It is written before the first object that belongs to it and removed after the last one. So a record names every
object of `TTS_VOICE_CLIPS` at all times, and `sweep` can finish a change that a crash interrupted:

    create   claim the name -> record "creating" -> clips -> record "ready"
    replace  record lists the new clips as leftovers -> clips -> record swaps them, revision + 1 -> erase the old ones
    delete   record "deleting" (cannot be used from here on) -> workers forget it -> computed voices, previews, clips ->
             name -> record

A worker that computed a voice stores it and then reads the record again: if the record was deleted, the worker removes
what it stored. So nothing of a deleted voice stays, whichever of the two came first.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.clips import clip_id
from services.common.bus.library.made import MadeOfVoice, portable
from services.common.bus.library.names import VoiceNames
from services.common.bus.library.quota import RememberedCounts, VoiceLimits, VoiceQuota
from services.common.bus.library.records import VoiceRecords
from services.common.bus.ports import Bus
from services.common.wire.failures import PipelineError, UnknownVoice, VoiceBusy
from services.common.wire.identity import voice_clip_object
from services.common.wire.voices import Voice, is_voice_id, name_key, voice_id

_UNFINISHED_S: Final = 600.0  # after which a change counts as interrupted
_READ_AT_ONCE: Final = 512
_MOST_SCANNED: Final = 5_000  # records that are read for one page


class VoicePage(NamedTuple):
    """Some of a tenant's voices, oldest first."""

    voices: tuple[Voice, ...]
    next: str | None  # id after which the next page begins; None: this is the last one


@dataclass(frozen=True)
class VoiceLibrary:
    """The libraries of all tenants. Every method raises BusUnavailable; those that write, QueueFull."""

    bus: Bus
    limits: VoiceLimits = field(default_factory=VoiceLimits)
    counts: RememberedCounts = field(default_factory=RememberedCounts, compare=False)

    async def create(
        self, draft: Voice, wavs: Sequence[bytes], computed: Sequence[bytes] = ()
    ) -> Voice:
        """Store a voice with these clips (mono 16-bit WAV) and computed voices, and return it.

        Of `draft` the id, revision, state, clips, size and times are replaced; its `computed` names the computed
        voices. Raises VoiceNameTaken, TenantVoicesFull.
        """
        now_ms = round(time.time() * 1000)
        clips = {clip_id(wav): wav for wav in wavs}
        objects = clips | {clip_id(each): each for each in computed}
        voice = msgspec.structs.replace(
            draft,
            voice=voice_id(now_ms, secrets.randbits(50)),
            revision=1,
            state="creating",
            clips=tuple(clips),
            clip_bytes=sum(map(len, objects.values())),
            created_unix_ms=now_ms,
            changed_unix_ms=now_ms,
        )
        await self._names.claim(voice.tenant, voice.name, voice.voice)
        try:
            await self._quota.take(voice)
            await self._records.create(voice)
            await self._store(voice, objects)
            return await self._records.update(
                voice.tenant, voice.voice, _ready, states=("creating",)
            )
        except (PipelineError, asyncio.CancelledError):
            await self._erase(voice)
            raise

    async def read(self, tenant: str, voice: str) -> Voice | None:
        """Return the voice with this id; None if it does not exist or cannot be used."""
        stored = await self._records.get(tenant, voice)
        return stored if stored is not None and stored.state == "ready" else None

    async def find(self, tenant: str, name_or_id: str) -> Voice | None:
        """Return the tenant's voice with this id or name; None if there is none."""
        found = await self.read(tenant, name_or_id) if is_voice_id(name_or_id) else None
        return found or await self._names.find(tenant, name_or_id)

    async def require(self, tenant: str, name_or_id: str) -> Voice:
        """Return the tenant's voice with this id or name. Raises UnknownVoice."""
        found = await self.find(tenant, name_or_id)
        if found is None:
            raise UnknownVoice(
                "no voice of yours has this name or id; GET /voices lists those that exist"
            )
        return found

    async def exists(self, tenant: str, voice: str, revision: int) -> bool:
        """Return whether this revision of a voice can be used."""
        found = await self.read(tenant, voice)
        return found is not None and found.revision == revision

    async def count(self, tenant: str) -> int:
        """Return how many voices the tenant keeps."""
        return len(await self._records.ids(tenant))

    async def page(
        self,
        tenant: str,
        *,
        limit: int,
        after: str | None = None,
        where: Callable[[Voice], bool] = lambda _: True,
    ) -> VoicePage:
        """Return up to `limit` ready voices that match, of those with ids after `after`.

        At most 5,000 records are read, so a page can hold fewer voices than `limit` and not be the last one.
        """
        ids = [voice for voice in await self._records.ids(tenant) if after is None or voice > after]
        found: list[Voice] = []
        for begin in range(0, min(len(ids), _MOST_SCANNED), _READ_AT_ONCE):
            batch = ids[begin : begin + _READ_AT_ONCE]
            for voice in await self._records.get_all(tenant, batch):
                if voice.state == "ready" and where(voice):
                    found.append(voice)
                if len(found) == limit:
                    return VoicePage(tuple(found), voice.voice if voice.voice != ids[-1] else None)
        return VoicePage(tuple(found), ids[_MOST_SCANNED - 1] if len(ids) > _MOST_SCANNED else None)

    async def all(self, tenant: str) -> list[Voice]:
        """Return all voices of a tenant, in whatever state, oldest first."""
        return await self._records.get_all(tenant, await self._records.ids(tenant))

    async def tenants(self) -> list[str]:
        """Return the tenants that keep voices."""
        return await self._records.tenants()

    async def change(self, tenant: str, voice: str, change: Callable[[Voice], Voice]) -> Voice:
        """Change what is not audio: name, language, description, parameters, consent. Return the new voice.

        `change` can be called several times. Raises UnknownVoice, VoiceNameTaken.
        """
        before = await self.require(tenant, voice)
        new_name = change(before).name
        renamed = name_key(new_name) != name_key(before.name)
        if renamed:
            await self._names.claim(tenant, new_name, before.voice)
        try:
            changed = await self._records.update(tenant, before.voice, change)
        except PipelineError:
            if renamed:
                await self._names.release(tenant, new_name, before.voice)
            raise
        if renamed:
            await self._names.release(tenant, before.name, before.voice)
        return changed

    async def replace_clips(
        self,
        tenant: str,
        voice: str,
        wavs: Sequence[bytes],
        change: Callable[[Voice], Voice] = lambda now: now,
    ) -> Voice:
        """Replace a voice's clips by these; `change` sets what else describes them. Return the new voice.

        Computed voices that are stored with it are erased with the clips before. Requests in flight finish with the
        copy that their worker holds, or fail with `unknown_voice`. Raises UnknownVoice, VoiceBusy, TenantVoicesFull.
        """
        clips = {clip_id(wav): wav for wav in wavs}

        def announce(now: Voice) -> Voice:
            if now.leftovers and not _is_stale(now):
                raise VoiceBusy("another request is replacing the clips of this voice; retry later")
            return msgspec.structs.replace(now, leftovers=_union(now.leftovers, tuple(clips)))

        def swap(now: Voice) -> Voice:
            return msgspec.structs.replace(
                change(now),
                clips=tuple(clips),
                clip_bytes=sum(map(len, clips.values())),
                revision=now.revision + 1,
                leftovers=_union(now.leftovers, now.objects),
                computed=UNSET,
            )

        announced = await self._records.update(tenant, voice, announce)
        counted = swap(announced)
        try:
            await self._quota.take(counted)
            await self._store(announced, clips)
            replaced = await self._records.update(tenant, voice, swap)
        except (PipelineError, asyncio.CancelledError):
            await self._clear_leftovers(announced)
            raise
        return await self._clear_leftovers(replaced)

    async def clip(self, tenant: str, voice: str, clip: str) -> bytes:
        """Return the bytes of a voice's clip or computed voice. Raises UnknownVoice."""
        name = voice_clip_object(tenant, voice, clip)
        wav = await self.bus.get_object(topology.VOICE_CLIPS, name)
        if wav is None or clip_id(wav) != clip:
            raise UnknownVoice(
                "the voice was deleted or its clips were replaced; send the request again"
            )
        return wav

    async def clips(self, voice: Voice) -> list[bytes]:
        """Return the WAV bytes of all clips of a voice, in order. Raises UnknownVoice."""
        return [await self.clip(voice.tenant, voice.voice, clip) for clip in voice.clips]

    async def computed(self, voice: Voice) -> list[bytes]:
        """Return the computed voices that are stored with a voice. Raises UnknownVoice."""
        return [
            await self.clip(voice.tenant, voice.voice, each.file) for each in voice.computed or ()
        ]

    async def portable(self, voice: Voice) -> list[bytes]:
        """Return what engines computed of a voice, here or elsewhere, as far as a file can contain it."""
        return portable([*await self.computed(voice), *await self._made.computed(voice)])

    async def delete(self, tenant: str, voice: str) -> bool:
        """Erase the voice with this id and all that was made of it; return False if it does not exist.

        A deletion that was interrupted is finished by calling this again.
        """
        stored = await self._records.get(tenant, voice)
        if stored is None:
            return False
        deleting = await self._records.update(
            tenant, voice, _deleting, states=("creating", "ready", "deleting")
        )
        await self._erase(deleting)
        return True

    async def sweep(
        self, tenant: str, *, changed_before_unix_s: float | None = None
    ) -> list[Voice]:
        """Finish changes that were interrupted, and return the voices that were erased.

        `changed_before_unix_s`: also erase voices that were last changed before then.
        """
        erased: list[Voice] = []
        await self._quota.release_unknown(tenant, await self._records.ids(tenant))
        for voice in await self.all(tenant):
            with suppress(UnknownVoice):  # another sweep or a client erased it first
                if await self._swept(voice, changed_before_unix_s):
                    erased.append(voice)
        return erased

    async def _swept(self, voice: Voice, changed_before_unix_s: float | None) -> bool:
        """Finish a voice's change if it was interrupted; return whether the voice was erased."""
        changed_s = voice.changed_unix_ms / 1000
        expired = changed_before_unix_s is not None and changed_s < changed_before_unix_s
        if expired or (_is_stale(voice) and voice.state != "ready"):
            return await self.delete(voice.tenant, voice.voice)
        if _is_stale(voice) and voice.leftovers:
            await self._clear_leftovers(voice)
        return False

    @property
    def _records(self) -> VoiceRecords:
        return VoiceRecords(self.bus)

    @property
    def _names(self) -> VoiceNames:
        return VoiceNames(self.bus, self._records)

    @property
    def _quota(self) -> VoiceQuota:
        return VoiceQuota(self.bus, self.limits, self.counts)

    @property
    def _made(self) -> MadeOfVoice:
        return MadeOfVoice(self.bus)

    async def _store(self, voice: Voice, clips: dict[str, bytes]) -> None:
        for clip, wav in clips.items():
            name = voice_clip_object(voice.tenant, voice.voice, clip)
            await self.bus.put_object(topology.VOICE_CLIPS, name, wav)

    async def _drop_clips(self, voice: Voice, clips: Sequence[str]) -> None:
        for clip in clips:
            name = voice_clip_object(voice.tenant, voice.voice, clip)
            await self.bus.erase_object(topology.VOICE_CLIPS, name)

    async def _clear_leftovers(self, voice: Voice) -> Voice:
        """Erase what belongs to earlier revisions; return the record without leftovers."""

        def cleared(now: Voice) -> Voice:
            left = tuple(clip for clip in now.leftovers if clip not in voice.leftovers)
            return msgspec.structs.replace(now, leftovers=left)

        await self._made.erase_earlier(voice)
        await self._drop_clips(
            voice, [each for each in voice.leftovers if each not in voice.objects]
        )
        now = await self._records.update(voice.tenant, voice.voice, cleared)
        await self._quota.release_others(now)
        return now

    async def _erase(self, voice: Voice) -> None:
        """Remove everything that belongs to a voice; its record goes last."""
        await self._made.erase(voice)
        await self._drop_clips(voice, _union(voice.objects, voice.leftovers))
        await self._names.release(voice.tenant, voice.name, voice.voice)
        await self._quota.release_all(voice)
        await self._records.drop(voice)
        # a worker that read the record before may have stored what it computed since
        await self._made.erase(voice)


def _ready(voice: Voice) -> Voice:
    return msgspec.structs.replace(voice, state="ready")


def _deleting(voice: Voice) -> Voice:
    return msgspec.structs.replace(voice, state="deleting")


def _is_stale(voice: Voice) -> bool:
    """Return whether a change that has not ended counts as interrupted."""
    return time.time() - voice.changed_unix_ms / 1000 > _UNFINISHED_S


def _union(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
