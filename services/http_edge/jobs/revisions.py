"""Revisions of a finished job's audio: sentences that were replaced.

How it works

The audio of a sentence is never overwritten. A replaced sentence is stored under another name, and an `SentenceEdit` is
added to the job's list of edits. The progress of the job names the revision, and is written last, by compare-and-set:
that makes the edit valid. A reader of revision N applies the edits up to N, so a download that has begun continues
with the audio that it began with, and an edit without its revision, left by an edge that crashed, is ignored and
replaced by the next one.

One sentence of a job is replaced at a time. The lock is a value with the time at which it expires; a lock that
was taken over cannot commit, as the progress has another revision by then.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from services.common.bus import topology
from services.common.wire import codec
from services.common.wire.failures import PipelineError
from services.common.wire.identity import Identity
from services.common.wire.messages import JobProgress
from services.http_edge.errors import JobBusy, TooManyRevisions, UnknownJob
from services.http_edge.jobs.store import JobStore
from services.http_edge.subtitles.captions import Caption

MOST_REVISIONS: Final = 500  # of one job
_BYTES_PER_SAMPLE: Final = 2
_AT_ONCE: Final = 16  # objects
_VERSION_BYTES: Final = 8


class SentenceEdit(msgspec.Struct, frozen=True, array_like=True):
    """A sentence that was replaced."""

    revision: int  # of the job, that it is part of from then on
    sentence: int
    version: str  # names its objects
    samples: int
    digest: str  # SHA-256 of the PCM, hex
    seed: int
    edited: bool  # whether its words are others than in the text


@dataclass(frozen=True)
class Rendition:
    """The audio of a job that is done, at one revision."""

    store: JobStore
    tenant: str
    job: str
    sample_rate_hz: int
    revision: int
    lengths: list[int]  # bytes of each sentence
    edits: Mapping[int, SentenceEdit]  # the latest of each replaced sentence
    first: int = 0  # index of the first sentence of this part

    def part(self, first: int, until: int) -> "Rendition":
        """Return the sentences [first, until)."""
        return replace(self, first=first, lengths=self.lengths[first:until])

    async def audio(self, index: int) -> bytes:
        """Return the PCM of the sentence at an index of this part. Raises UnknownJob if it has expired."""
        sentence = self.first + index
        edit = self.edits.get(sentence)
        if edit is None:
            return await self.store.audio(self.tenant, self.job, sentence)

        name = _identity(self).version_name(sentence, edit.version)
        pcm = await self.store.bus.get_object(topology.RESULTS, name)
        if pcm is None:
            raise UnknownJob("the audio of this job has expired")
        return pcm

    async def captions(self) -> list[Caption]:
        """Return the captions of all sentences. Raises UnknownJob if they are not stored."""
        captions = await self.store.captions(self.tenant, self.job, len(self.lengths))
        edits = list(self.edits.values())
        for begin in range(0, len(edits), _AT_ONCE):
            some = edits[begin : begin + _AT_ONCE]
            for edit, caption in zip(
                some, await asyncio.gather(*(self.caption(edit) for edit in some)), strict=True
            ):
                captions[edit.sentence] = caption
        return captions

    async def caption(self, edit: SentenceEdit) -> Caption:
        """Return the caption of a replaced sentence. Raises UnknownJob if it has expired."""
        name = _identity(self).version_captions_name(edit.sentence, edit.version)
        content = await self.store.bus.get_object(topology.RESULTS, name)
        if content is None:
            raise UnknownJob("the subtitles of this job have expired")
        return msgspec.msgpack.decode(content, type=Caption)


def _identity(rendition: Rendition) -> Identity:
    return Identity(rendition.tenant, "job", rendition.job)


async def rendition_of(store: JobStore, tenant: str, progress: JobProgress) -> Rendition:
    """Return the audio of a job that is done, at its revision. Raises UnknownJob."""
    revision = progress.revision or 0
    lengths = await store.lengths(tenant, progress.job, progress.spoken)
    edits: dict[int, SentenceEdit] = {}
    for edit in await _edits(store, tenant, progress) if revision else ():
        edits[edit.sentence] = edit
        lengths[edit.sentence] = edit.samples * _BYTES_PER_SAMPLE
    return Rendition(store, tenant, progress.job, progress.sample_rate_hz, revision, lengths, edits)


async def _edits(store: JobStore, tenant: str, progress: JobProgress) -> list[SentenceEdit]:
    """Return the valid edits of a job, oldest first. Raises UnknownJob."""
    content = await store.bus.get_value(topology.PROGRESS, _key(tenant, progress.job, "edits"))
    stored = msgspec.msgpack.decode(content, type=list[SentenceEdit]) if content else []
    edits = [edit for edit in stored if edit.revision <= (progress.revision or 0)]
    if len(edits) < (progress.revision or 0):
        raise UnknownJob("the replaced sentences of this job have expired")
    return edits


def _key(tenant: str, job: str, record: str) -> str:
    return Identity(tenant, "job", job).key(record)


@dataclass(frozen=True)
class NewSentence:
    """A sentence that replaces another one."""

    sentence: int
    pcm: bytes
    caption: Caption
    digest: str  # SHA-256 of the PCM, hex
    seed: int
    edited: bool


@dataclass(frozen=True)
class Revisions:
    """Replaces sentences. Every method raises BusUnavailable; those that write, QueueFull."""

    store: JobStore

    @asynccontextmanager
    async def locked(self, tenant: str, job: str, longest_s: float) -> AsyncIterator[None]:
        """Hold the lock of a job while the block runs, at most for `longest_s`. Raises JobBusy."""
        bus = self.store.bus
        key = _key(tenant, job, "redo")
        lock = msgspec.msgpack.encode((secrets.token_hex(8), time.time() + longest_s))
        held = await bus.get_revision(topology.PROGRESS, key)
        if held is not None and held.content:
            _, until_s = msgspec.msgpack.decode(held.content, type=tuple[str, float])
            if until_s > time.time():
                raise _busy()
        revision = 0 if held is None else held.revision
        if not await bus.update_value(topology.PROGRESS, key, lock, revision):
            raise _busy()

        try:
            yield
        finally:
            await asyncio.shield(self._release(key, lock))

    async def _release(self, key: str, lock: bytes) -> None:
        if await self.store.bus.get_value(topology.PROGRESS, key) == lock:
            await self.store.bus.drop_value(topology.PROGRESS, key)

    async def commit(self, tenant: str, job: str, new: NewSentence) -> JobProgress:
        """Store a sentence that replaces another one; return the job's progress at its new revision.

        Raises UnknownJob, JobBusy, TooManyRevisions.
        """
        bus = self.store.bus
        key = _key(tenant, job, "job")
        value = await bus.get_revision(topology.PROGRESS, key)
        if value is None or not value.content:
            raise UnknownJob("the job was deleted, or has expired")

        progress = codec.decode(value.content, JobProgress)
        before = await rendition_of(self.store, tenant, progress)
        edits = await _edits(self.store, tenant, progress)
        revision = before.revision + 1
        if revision > MOST_REVISIONS:
            raise TooManyRevisions(
                f"the sentences of a job can be replaced {MOST_REVISIONS} times; post the job again"
            )

        version = secrets.token_hex(_VERSION_BYTES)
        samples = len(new.pcm) // _BYTES_PER_SAMPLE
        edit = SentenceEdit(
            revision, new.sentence, version, samples, new.digest, new.seed, new.edited
        )
        after = msgspec.structs.replace(
            progress,
            revision=revision,
            samples=progress.samples + samples - before.lengths[new.sentence] // _BYTES_PER_SAMPLE,
        )
        try:
            await self._store(tenant, job, new, [*edits, edit])
            committed = await bus.update_value(
                topology.PROGRESS, key, codec.encode(after), value.revision
            )
        except PipelineError:
            await self._drop(tenant, job, edit)
            raise
        if not committed:
            await self._drop(tenant, job, edit)
            raise _busy()
        return after

    async def _store(
        self, tenant: str, job: str, new: NewSentence, edits: list[SentenceEdit]
    ) -> None:
        bus = self.store.bus
        identity = Identity(tenant, "job", job)
        version = edits[-1].version
        await bus.put_object(
            topology.RESULTS, identity.version_name(new.sentence, version), new.pcm
        )
        await bus.put_object(
            topology.RESULTS,
            identity.version_captions_name(new.sentence, version),
            msgspec.msgpack.encode(new.caption),
        )
        await bus.put_value(
            topology.PROGRESS, _key(tenant, job, "edits"), msgspec.msgpack.encode(edits)
        )

    async def _drop(self, tenant: str, job: str, edit: SentenceEdit) -> None:
        """Remove the objects of an edit that is not valid."""
        identity = Identity(tenant, "job", job)
        for name in (
            identity.version_name(edit.sentence, edit.version),
            identity.version_captions_name(edit.sentence, edit.version),
        ):
            await self.store.bus.drop_object(topology.RESULTS, name)

    async def free(self, tenant: str, job: str) -> None:
        """Remove all replaced sentences of a job."""
        key = _key(tenant, job, "edits")
        content = await self.store.bus.get_value(topology.PROGRESS, key)
        for edit in msgspec.msgpack.decode(content, type=list[SentenceEdit]) if content else ():
            await self._drop(tenant, job, edit)
        await self.store.bus.drop_value(topology.PROGRESS, key)
        await self.store.bus.drop_value(topology.PROGRESS, _key(tenant, job, "redo"))


def _busy() -> JobBusy:
    return JobBusy("another sentence of this job is being replaced; retry when that has ended")
