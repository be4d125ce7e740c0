"""The job store: progress, sentence lengths and audio of each job."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import UNSET

from services.common.bus import topology
from services.common.bus.atomic_update import update_atomically
from services.common.bus.ports import Bus, Subscription
from services.common.wire import codec
from services.common.wire.failures import PipelineError, QueueFull
from services.common.wire.identity import Identity
from services.common.wire.messages import JobProgress, SpeechRequest, TextSplit
from services.common.wire.parts import Mark
from services.http_edge.errors import UnknownJob
from services.http_edge.jobs.chapters import LocatedChapter
from services.http_edge.jobs.job_list import JobList
from services.http_edge.jobs.results_quota import STORE_FULL
from services.http_edge.speech.request_store import RequestStore
from services.http_edge.subtitles.captions import Caption

ENDED: Final = ("done", "failed", "cancelled")
_PAGE: Final = 512  # sentences whose lengths share one KV value
_CAPTION_PAGE: Final = 32  # sentences whose captions share one object
_LISTED_EVERY: Final = 64  # sentences, after which the entry in the list is stored again
_READ_AT_ONCE: Final = 16  # objects
_FREED_AT_ONCE: Final = 16  # objects
# buffered changes of a job; any of them causes the latest progress to be read
_PENDING_CHANGES: Final = 64


def caption_page(sentence: int) -> tuple[int, int]:
    """Return the page of captions that has this sentence, and the sentence's index in it."""
    return divmod(sentence, _CAPTION_PAGE)


def queued(request: SpeechRequest) -> JobProgress:
    """Return the progress of a new job."""
    return JobProgress(
        job=request.request,
        state="queued",
        created_unix_ms=round(time.time() * 1000),
        deadline_unix_ms=request.deadline_unix_ms,
        voice=request.voice,
        title=request.title,
        language=request.language,
        engine=request.engine,
        characters=len(request.text),
        chapters=len(request.chapters or ()) or UNSET,
    )


@dataclass(frozen=True)
class JobStore:
    """The jobs of all tenants. Every method raises BusUnavailable; those that write, QueueFull."""

    bus: Bus
    records: RequestStore

    async def create(self, request: SpeechRequest) -> bool:
        """Store a queued job and its request; return False if the id is in use."""
        return await self.add_job(request, queued(request))

    async def add_job(self, request: SpeechRequest, progress: JobProgress) -> bool:
        """Store a job with its progress and its request; return False if the id is in use."""
        created = await self.bus.create_value(
            topology.PROGRESS,
            Identity(request.tenant, "job", progress.job).key("job"),
            codec.encode(progress),
        )
        if created:
            await self._complete(request, progress)
        return created

    async def _complete(self, request: SpeechRequest, progress: JobProgress) -> None:
        """Store what belongs to a new job, or nothing of it."""
        try:
            await self.keep_request(request)
            await self._list.put(request.tenant, progress)
        except QueueFull:
            await self.forget(request.tenant, request.request)
            raise QueueFull(STORE_FULL) from None
        except PipelineError:
            await self.forget(request.tenant, request.request)
            raise

    @property
    def _list(self) -> JobList:
        return JobList(self.bus)

    async def keep_request(self, request: SpeechRequest) -> None:
        """Store the request of a job, with its text, for its owner and for replacing sentences."""
        name = Identity(request.tenant, "job", request.request).request_name()
        await self.bus.put_object(topology.RESULTS, name, codec.encode(request))

    async def request(self, tenant: str, job: str) -> SpeechRequest:
        """Return the request of a job. Raises UnknownJob if it has expired."""
        name = Identity(tenant, "job", job).request_name()
        content = await self.bus.get_object(topology.RESULTS, name)
        if content is None:
            raise UnknownJob("the text of this job has expired, or is of an earlier release")
        return codec.decode(content, SpeechRequest)

    async def progress(self, tenant: str, job: str) -> JobProgress | None:
        """Return the progress of a job, or None if it is not stored."""
        value = await self.bus.get_value(topology.PROGRESS, Identity(tenant, "job", job).key("job"))
        progress = None if value is None else codec.decode(value, JobProgress)
        return progress if progress is not None and progress.job == job else None

    async def require(self, tenant: str, job: str) -> JobProgress:
        """Return the progress of a job. Raises UnknownJob."""
        progress = await self.progress(tenant, job)
        if progress is None:
            raise UnknownJob("no job has this id; it never existed, or has expired")
        return progress

    async def note(self, tenant: str, progress: JobProgress) -> JobProgress:
        """Store the progress of a job, unless its end or more progress is stored; return what is stored then.

        A second edge to which the job was redelivered can be behind the first one.
        """
        stored = progress

        async def forward(content: bytes) -> bytes | None:
            nonlocal stored
            held = codec.decode(content, JobProgress) if content else None
            stored = held if held is not None and _is_behind(progress, held) else progress
            return None if stored is held else codec.encode(progress)

        key = Identity(tenant, "job", progress.job).key("job")
        await update_atomically(self.bus, topology.PROGRESS, key, forward)
        if stored.state in ENDED or stored.spoken % _LISTED_EVERY == 0:
            await self._list.put(tenant, stored)
        return stored

    async def forget(self, tenant: str, job: str) -> None:
        """Release the id of a job that was never queued, or was deleted, and delete its request."""
        progress = await self.progress(tenant, job)
        if progress is not None:
            await self._list.drop(tenant, progress)
        await self.bus.drop_object(topology.RESULTS, Identity(tenant, "job", job).request_name())
        await self.bus.drop_value(topology.PROGRESS, Identity(tenant, "job", job).key("job"))

    async def add(self, tenant: str, job: str, sentence: int, pcm: bytes) -> None:
        """Store the audio and length of the next sentence; the sentences before it are stored already.

        Those after it stay: a second edge to which the job was redelivered can be behind the first one.
        """
        await self.bus.put_object(
            topology.RESULTS, Identity(tenant, "job", job).object_name(sentence), pcm
        )
        page, index = divmod(sentence, _PAGE)

        async def added(content: bytes) -> bytes:
            known = _unpacked(content)
            return _packed([*known[:index], len(pcm), *known[index + 1 :]])

        key = Identity(tenant, "job", job).key("lengths", page)
        await update_atomically(self.bus, topology.PROGRESS, key, added)

    async def lengths(self, tenant: str, job: str, sentences: int) -> list[int]:
        """Return the length in bytes of each of the first sentences. Raises UnknownJob if they have expired."""
        pages = range((sentences + _PAGE - 1) // _PAGE)
        lengths = [length for page in pages for length in await self._page(tenant, job, page)]
        if len(lengths) < sentences:
            raise UnknownJob("the audio of this job has expired")
        return lengths[:sentences]

    async def audio(self, tenant: str, job: str, sentence: int) -> bytes:
        """Return a sentence's PCM. Raises UnknownJob if it has expired."""
        pcm = await self.bus.get_object(
            topology.RESULTS, Identity(tenant, "job", job).object_name(sentence)
        )
        if pcm is None:
            raise UnknownJob("the audio of this job has expired")
        return pcm

    async def add_captions(
        self, tenant: str, job: str, first: int, captions: Sequence[Caption]
    ) -> None:
        """Store captions of successive sentences of a page (`caption_page`), from `first` on.

        Those after them stay, as in `add`. Nothing is stored if one before them is missing. Objects have no
        compare-and-set, so an edge that is behind can remove the latest captions of another one. Therefore each edge
        stores all of its own captions of the page again with every new one.
        """
        page, index = caption_page(first)
        name = Identity(tenant, "job", job).captions_name(page)
        known = await self._captions(name)
        if len(known) < index:
            return
        merged = (*known[:index], *captions, *known[index + len(captions) :])
        await self.bus.put_object(topology.RESULTS, name, msgspec.msgpack.encode(merged))

    async def captions(self, tenant: str, job: str, sentences: int) -> list[Caption]:
        """Return the captions of the first sentences. Raises UnknownJob if they are not stored."""
        identity = Identity(tenant, "job", job)
        names = [identity.captions_name(page) for page in range(-(-sentences // _CAPTION_PAGE))]
        found: list[Caption] = []
        for first in range(0, len(names), _READ_AT_ONCE):
            pages = await asyncio.gather(
                *(self._captions(name) for name in names[first : first + _READ_AT_ONCE])
            )
            found += [caption for page in pages for caption in page]
        if len(found) < sentences:
            raise UnknownJob(
                "the subtitles of this job have expired, or its text was divided by an earlier release"
            )
        return found[:sentences]

    async def keep_split(self, tenant: str, job: str, split: TextSplit) -> None:
        """Store the segmentation of the text; the splitter's event is stored for a few minutes only."""
        name = Identity(tenant, "job", job).split_name()
        await self.bus.put_object(topology.RESULTS, name, codec.encode(split))

    async def split(self, tenant: str, job: str) -> TextSplit | None:
        """Return the segmentation of the text, or None if it is not stored."""
        name = Identity(tenant, "job", job).split_name()
        content = await self.bus.get_object(topology.RESULTS, name)
        return None if content is None else codec.decode(content, TextSplit)

    async def free(self, tenant: str, job: str, sentences: int) -> None:
        """Delete the audio of a job's first sentences, their lengths and captions, marks and manifest."""
        for first in range(0, sentences, _FREED_AT_ONCE):
            indexes = range(first, min(first + _FREED_AT_ONCE, sentences))
            names = (Identity(tenant, "job", job).object_name(index) for index in indexes)
            await asyncio.gather(*(self.bus.drop_object(topology.RESULTS, name) for name in names))
        identity = Identity(tenant, "job", job)
        for page in range(-(-sentences // _CAPTION_PAGE)):
            await self.bus.drop_object(topology.RESULTS, identity.captions_name(page))
        await self.bus.drop_object(topology.RESULTS, identity.split_name())
        for page in range((sentences + _PAGE - 1) // _PAGE):
            await self.bus.drop_value(
                topology.PROGRESS, Identity(tenant, "job", job).key("lengths", page)
            )
        await self.bus.drop_value(topology.PROGRESS, identity.key("marks"))
        await self.bus.drop_value(topology.PROGRESS, identity.key("chapters"))
        await self.bus.drop_value(topology.PROGRESS, identity.key("manifest"))

    async def keep_chapters(
        self, tenant: str, job: str, chapters: tuple[LocatedChapter, ...]
    ) -> None:
        """Store the sentences of the text's chapters."""
        await self.bus.put_value(
            topology.PROGRESS,
            Identity(tenant, "job", job).key("chapters"),
            msgspec.msgpack.encode(chapters),
        )

    async def chapters(self, tenant: str, job: str) -> tuple[LocatedChapter, ...]:
        """Return the chapters of the text; none before the first sentence is stored."""
        key = Identity(tenant, "job", job).key("chapters")
        value = await self.bus.get_value(topology.PROGRESS, key)
        return msgspec.msgpack.decode(value, type=tuple[LocatedChapter, ...]) if value else ()

    async def keep_marks(self, tenant: str, job: str, marks: tuple[Mark, ...]) -> None:
        """Store the positions of the text's marks in the audio."""
        await self.bus.put_value(
            topology.PROGRESS,
            Identity(tenant, "job", job).key("marks"),
            msgspec.msgpack.encode(marks),
        )

    async def marks(self, tenant: str, job: str) -> dict[int, list[Mark]]:
        """Return the marks by sentence index; empty before the first sentence is stored."""
        value = await self.bus.get_value(
            topology.PROGRESS, Identity(tenant, "job", job).key("marks")
        )
        found: dict[int, list[Mark]] = {}
        for mark in msgspec.msgpack.decode(value, type=tuple[Mark, ...]) if value else ():
            found.setdefault(mark.sentence, []).append(mark)
        return found

    @asynccontextmanager
    async def changes(self, tenant: str, job: str) -> AsyncIterator[Subscription]:
        """Subscribe to changes of the job's progress while the block runs."""
        subject = topology.value_subject(topology.PROGRESS, Identity(tenant, "job", job).key("job"))
        listener = await self.bus.subscribe(subject, limit=_PENDING_CHANGES)
        try:
            yield listener
        finally:
            await listener.close()

    async def _captions(self, name: str) -> tuple[Caption, ...]:
        content = await self.bus.get_object(topology.RESULTS, name)
        return msgspec.msgpack.decode(content, type=tuple[Caption, ...]) if content else ()

    async def _page(self, tenant: str, job: str, page: int) -> list[int]:
        key = Identity(tenant, "job", job).key("lengths", page)
        return _unpacked(await self.bus.get_value(topology.PROGRESS, key) or b"")


def _is_behind(progress: JobProgress, held: JobProgress) -> bool:
    """Return whether the stored progress of the same job must stay."""
    if held.job != progress.job:
        return False
    return held.state in ENDED or (progress.state not in ENDED and held.spoken > progress.spoken)


def _packed(lengths: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(lengths)}I", *lengths)


def _unpacked(content: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(content) // 4}I", content))


@dataclass(frozen=True)
class JobBucket:
    """The job store behind the interface of the request store, for the intake of jobs."""

    store: JobStore

    async def keep(self, request: SpeechRequest) -> bool:
        """Store a queued job; return False if the id is in use or was deleted."""
        return not await self.store.records.deleted(
            request.tenant, request.request
        ) and await self.store.create(request)

    async def known(self, tenant: str, request: str) -> bool:
        """Return whether the job is stored."""
        return await self.store.progress(tenant, request) is not None

    async def forget(self, tenant: str, request: str) -> None:
        """Release the id of a job that was never queued, or was deleted."""
        await self.store.forget(tenant, request)

    async def claimed(self, tenant: str, key: str) -> bool:
        """Return whether an idempotency key is in use."""
        return await self.store.records.claimed(tenant, key)

    async def claim(self, tenant: str, key: str, value: bytes) -> bytes | None:
        """Store a value under an idempotency key; return the existing one if the key is in use."""
        return await self.store.records.claim(tenant, key, value)

    async def release(self, tenant: str, key: str) -> None:
        """Release an idempotency key."""
        await self.store.records.release(tenant, key)
