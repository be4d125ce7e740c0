"""Speaks one sentence of a finished job again, and replaces the old one.

The sentence is a separate request, with the voice, engine and parameters of the job. It has no neighbours, so its
silence is copied from the audio that it replaces.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
import structlog
from msgspec import UNSET

from services.common.wire.estimate import audio_seconds
from services.common.wire.failures import DeadlineExceeded
from services.common.wire.languages import language_code
from services.common.wire.messages import JobProgress, SpeechRequest, TextSplit
from services.common.wire.options import AS_USUAL, Parameters, TextOptions
from services.common.wire.parameters import given
from services.common.wire.parts import Span
from services.http_edge.auth.api_keys import Caller
from services.http_edge.capacity.admission import Admission
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.errors import (
    BadRequest,
    InconsistentAudio,
    JobEnded,
    JobNotDone,
    UnknownJob,
    UnknownSentence,
)
from services.http_edge.jobs.results_quota import SENTENCE_BYTES, ResultsQuota
from services.http_edge.jobs.revisions import NewSentence, Rendition, Revisions, rendition_of
from services.http_edge.jobs.silence import with_silence_of
from services.http_edge.jobs.store import JobStore
from services.http_edge.speech.session import SpeechSession, SpeechSessions
from services.http_edge.speech.speakers import speaker_at
from services.http_edge.speech.usage.metering import UsageCharges
from services.http_edge.subtitles.captions import Caption, CaptionWord, caption_of

log = structlog.get_logger()

_LOCK_MARGIN_S: Final = 30.0  # that the lock is held beyond the time limit of the synthesis


@dataclass(frozen=True)
class Changes:
    """The differences to the sentence that was spoken before."""

    text: str | None = None
    seed: int | None = None  # None: a random one
    pronunciations: Mapping[str, str] | None = None  # in addition to those of the job
    spoken_forms: bool | None = None
    parameters: Parameters = AS_USUAL


@dataclass(frozen=True)
class Original:
    """A sentence of a job that is done, and what it was spoken from."""

    request: SpeechRequest
    split: TextSplit
    rendition: Rendition
    sentence: int

    @property
    def text(self) -> str:
        """Return its words in the text of the job."""
        span = self.split.sentences[self.sentence]
        return self.request.text[span.start : span.end]

    @property
    def language(self) -> str:
        """Return the code of its language."""
        if self.split.languages:
            return self.split.languages[self.sentence]
        return language_code(self.request.language) or self.request.language


@dataclass(frozen=True)
class Redo:
    """Replaces sentences of jobs."""

    store: JobStore
    quota: ResultsQuota
    charges: UsageCharges
    sessions: SpeechSessions
    admission: Admission
    fleet: Fleet
    timeout_s: float

    async def replace(
        self, tenant: str, job: str, sentence: int, changes: Changes, caller: Caller | None
    ) -> tuple[JobProgress, NewSentence]:
        """Speak a sentence again; return the job's progress at its new revision.

        Raises UnknownJob, JobNotDone, JobEnded, UnknownSentence, JobBusy, TooManyRevisions, ResultsFull, BadRequest,
        and what admission, quota and synthesis raise.
        """
        require_done(await self.store.require(tenant, job))
        revisions = Revisions(self.store)
        async with revisions.locked(tenant, job, self.timeout_s + _LOCK_MARGIN_S):
            progress = require_done(await self.store.require(tenant, job))
            original = await self._original(tenant, progress, sentence)
            request = self.fleet.marked(await self._request(original, changes))
            if caller is not None:
                caller.require_engine(request.engine)
            pcm, spoken = await self._in_time(request, caller)
            if spoken.sample_rate_hz != progress.sample_rate_hz:
                raise InconsistentAudio(
                    "the engine speaks at another sample rate than this job has; post the job again"
                )
            new = await _new_sentence(original, request, pcm, spoken)
            after = await self._commit(revisions, tenant, job, new)

        log.info("sentence_replaced", request=job, sentence=sentence, revision=after.revision)
        return after, new

    async def _commit(
        self, revisions: Revisions, tenant: str, job: str, new: NewSentence
    ) -> JobProgress:
        """Store the new sentence within the tenant's quota. Raises ResultsFull."""
        before = await self.quota.reservation(tenant, job)
        size = (before.size if before else 0) + len(new.pcm) + SENTENCE_BYTES
        await self.quota.extend(tenant, job, size)
        settled = before.size if before else 0
        try:
            after = await asyncio.shield(revisions.commit(tenant, job, new))
            settled = size
        finally:
            await asyncio.shield(self.quota.settle(tenant, job, settled))
        return after

    async def _original(self, tenant: str, progress: JobProgress, sentence: int) -> Original:
        if sentence >= progress.spoken:
            raise UnknownSentence(
                f"the job has {progress.spoken} sentences; send an index from 0 to {progress.spoken - 1}"
            )
        split = await self.store.split(tenant, progress.job)
        if split is None:
            raise UnknownJob("the sentences of this job have expired, or were never stored")
        return Original(
            await self.store.request(tenant, progress.job),
            split,
            await rendition_of(self.store, tenant, progress),
            sentence,
        )

    async def _request(self, original: Original, changes: Changes) -> SpeechRequest:
        """Return the request of one sentence. Raises BadRequest."""
        job = original.request
        split = original.split
        text = changes.text
        if text is None and job.text_type == "ssml":
            raise BadRequest("the text of this job is SSML; send the words of the sentence as text")
        if text is None:
            text = await _words(original)
        speaker = speaker_at(split, original.sentence)
        if speaker is not None:
            job = msgspec.structs.replace(job, clips=())
            split = msgspec.structs.replace(
                split, voice=speaker.voice, parameters=speaker.parameters
            )
        parameters = job.parameters if split.parameters is UNSET else split.parameters
        read_as = TextOptions.of(job)
        options = msgspec.structs.replace(
            read_as,
            split=False,
            text_type="text",
            spoken_forms=read_as.spoken_forms
            if changes.spoken_forms is None
            else changes.spoken_forms,
            pronunciations={**read_as.pronunciations, **(changes.pronunciations or {})},
        )
        return SpeechRequest(
            request=secrets.token_hex(16),
            tenant=job.tenant,
            engine=job.engine,
            language=original.language,
            text=text,
            clips=job.clips,
            voice=job.voice if split.voice is UNSET else split.voice,
            voice_defaults=job.voice_defaults if split.parameters is UNSET else False,
            seed=secrets.randbits(63) if changes.seed is None else changes.seed,
            parameters=msgspec.structs.replace(parameters, **given(changes.parameters)),
            deadline_unix_ms=round((time.time() + self.timeout_s) * 1000),
            **options.fields(),
        )

    async def _in_time(
        self, request: SpeechRequest, caller: Caller | None
    ) -> tuple[bytes, "_Spoken"]:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._spoken(request, caller)
        except TimeoutError:
            raise DeadlineExceeded(
                "the sentence was not spoken within the time limit; retry later"
            ) from None

    async def _spoken(
        self, request: SpeechRequest, caller: Caller | None
    ) -> tuple[bytes, "_Spoken"]:
        """Return the PCM of the request."""
        self.fleet.of(request.engine).require(request.language, request.parameters)
        speed = request.parameters.speed or 1.0
        seconds = audio_seconds(len(request.text), request.language, speed)
        with self.admission.admit(request.request, request.tenant, seconds):
            meter = (
                None
                if caller is None
                else await self.charges.open(caller.key, request.request, seconds)
            )
            request = request if meter is None else meter.limited(request)
            pcm = bytearray()
            try:
                async with (
                    self.sessions.speaking(request, meter=meter) as speech,
                    aclosing(speech.chunks()) as chunks,
                ):
                    async for chunk in chunks:
                        pcm += chunk
            finally:
                if meter is not None:
                    await asyncio.shield(meter.settle())
        return bytes(pcm), _Spoken(speech)


@dataclass(frozen=True)
class _Spoken:
    """The end of a session."""

    speech: SpeechSession

    @property
    def sample_rate_hz(self) -> int:
        """Return the sample rate of its audio."""
        return self.speech.assembly.sample_rate_hz

    def caption(self, request: SpeechRequest, shift: int, samples: int) -> Caption:
        """Return one caption for all that was spoken, `shift` samples later, within `samples`."""
        split = self.speech.assembly.split
        words: list[CaptionWord] = []
        begin = shift
        measured = True
        fault = ""
        for index, end in enumerate(self.speech.spoken):
            span = Span(0, len(request.text)) if split is None else split.sentences[index]
            caption = caption_of(request, span, end)
            measured = measured and caption.measured
            fault = fault or caption.fault
            words += [
                CaptionWord(
                    span.start + word.start,
                    span.start + word.end,
                    _within(begin + word.first_sample, samples),
                    _within(begin + word.end_sample, samples),
                )
                for word in caption.words
            ]
            begin += end.samples
        return Caption(request.text, samples, tuple(words), measured=measured, fault=fault)


def _within(sample: int, samples: int) -> int:
    return max(0, min(sample, samples))


def require_done(progress: JobProgress) -> JobProgress:
    """Return the progress of a job that is done. Raises JobNotDone, JobEnded."""
    if progress.state in ("failed", "cancelled"):
        raise JobEnded(f"the job was {progress.state}, so it has no sentences; post it again")
    if progress.state != "done":
        raise JobNotDone("the job is not done; retry when it is")
    return progress


async def _words(original: Original) -> str:
    """Return the words that the sentence has now: those of an earlier edit, or of the text."""
    edit = original.rendition.edits.get(original.sentence)
    if edit is None or not edit.edited:
        return original.text
    return (await original.rendition.caption(edit)).text


async def _new_sentence(
    original: Original, request: SpeechRequest, pcm: bytes, spoken: _Spoken
) -> NewSentence:
    model = await original.rendition.audio(original.sentence)
    pcm, shift = with_silence_of(pcm, model)
    return NewSentence(
        original.sentence,
        pcm,
        spoken.caption(request, shift, len(pcm) // 2),
        sha256(pcm).hexdigest(),
        request.seed,
        edited=request.text != original.text,
    )
