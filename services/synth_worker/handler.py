"""Handles one sentence: gets the voice, synthesizes, publishes the chunks as they are produced, then the end marker.

The consumer acks when `handle` returns, so only after the end marker is stored. Chunks are published to JetStream and
awaited: a core NATS publish can be lost with the server, and if the end marker counted a lost chunk, the listener would
wait for it forever.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from msgspec import UNSET, UnsetType

from services.common.audio.clip import Samples
from services.common.audio.fingerprint.words import SentenceFingerprint
from services.common.audio.pcm import silence
from services.common.bus import topology
from services.common.bus.cancels import Cancels
from services.common.bus.ports import Bus, Delivery
from services.common.bus.provenance.writing import ProvenanceWriter
from services.common.runtime.lifecycle import tasks
from services.common.runtime.tracing import mark, span
from services.common.wire import codec, subjects
from services.common.wire.addressing import require_addressed
from services.common.wire.failures import PipelineError, SpeechCancelled
from services.common.wire.fields import NO_WATERMARK, Loudness
from services.common.wire.identity import identity_of
from services.common.wire.messages import AudioChunk, SentenceJob, SentenceSpoken, SpeechFailed
from services.common.wire.parameters import require_taken
from services.common.wire.parts import TimesOrigin, WordTime
from services.common.wire.provenance import LoggedSentence
from services.synth_worker.chunking import Chunk, Chunking
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.finishing.parameters import Finish, accepted_parameters, finishing_of
from services.synth_worker.metrics import Metrics
from services.synth_worker.ports import SentenceAudio, SpeakingEngine
from services.synth_worker.speed import SpeedMeter
from services.synth_worker.voice_sources import source_of
from services.synth_worker.voices import Voices
from services.synth_worker.word_times import SpeechSpan, word_times

log = structlog.get_logger()


@dataclass(frozen=True)
class SentenceWork:
    """Handler of the messages of `TTS_SENTENCES`."""

    bus: Bus
    model: SpeakingEngine
    voices: Voices
    cancels: Cancels
    metrics: Metrics
    speed: SpeedMeter
    worker: str
    loudness: Loudness  # the default of requests without one
    watermark: bool  # in the audio of requests that do not say
    provenance: ProvenanceWriter | None = None  # None: sentences are not logged
    busy: set[str] = field(default_factory=set)  # subjects of the sentences in flight

    async def handle(self, delivery: Delivery) -> None:
        """Synthesize one sentence and publish its audio."""
        job = codec.decode(delivery.payload, SentenceJob)
        require_addressed(job, delivery.subject)
        self._check(job)
        if delivery.attempt > 1 and await self._is_done(job):
            return

        self.metrics.queue_wait.labels(_lane(delivery)).observe(delivery.age_s)
        self.busy.add(delivery.subject)
        try:
            await self._speak(job, delivery)
        finally:
            self.busy.discard(delivery.subject)

    async def give_up(self, delivery: Delivery, failure: PipelineError) -> None:
        """Publish the failure of a sentence that has used up its attempts."""
        self.metrics.sentences.labels(self.model.describe().name, "", failure.code).inc()
        addressed = subjects.parse_as(delivery.subject, subjects.SentenceSubject)
        if addressed is None:
            return  # not the subject of a sentence: there is nowhere to report it
        message = SpeechFailed(
            request=addressed.request,
            sentence=addressed.sentence,
            code=failure.code,
            detail=str(failure),
            retryable=failure.retryable,
        )
        await self.bus.publish(
            subjects.end(addressed.tenant, addressed.request, addressed.sentence),
            codec.encode(message),
            message_id=identity_of(addressed).message_id(addressed.sentence, "failed"),
        )

    def _check(self, job: SentenceJob) -> None:
        """Raise SpeechCancelled or UnsupportedParameter for a sentence that must not be synthesized.

        Deadlines are not checked here: nats-server expires the messages, by one clock for all workers.
        """
        if identity_of(job) in self.cancels:
            raise SpeechCancelled("the request was cancelled")
        engine = self.model.describe()
        require_taken(
            job.parameters, engine=engine.name, takes=accepted_parameters(engine, self.loudness)
        )

    async def _is_done(self, job: SentenceJob) -> bool:
        """Return whether an earlier worker stored the end marker and died before its ack."""
        return (
            await self.bus.last(topology.AUDIO, subjects.end(job.tenant, job.request, job.sentence))
            is not None
        )

    async def _speak(self, job: SentenceJob, delivery: Delivery) -> None:
        voice = await self.voices.get(source_of(job), job.parameters)
        utterance = Utterance(
            text=job.text, language=job.language, seed=job.seed, parameters=job.parameters
        )
        sentence = self.model.speak(utterance, voice, urgent=_lane(delivery) == "express")
        try:
            with (
                self.cancels.watch(identity_of(job), sentence.cancel),
                span("synthesis", language=job.language) as synthesis,
            ):
                finish = finishing_of(
                    self.model.describe(), utterance, self.loudness, watermark=self._marks(job)
                )
                chunking = await self._publish_chunks(job, delivery.attempt, sentence, finish)
                synthesis.set_attributes({"samples": chunking.samples, "busy_s": sentence.busy_s})
        except SpeechCancelled:
            self.metrics.orphaned.labels(self.model.describe().name).inc(sentence.orphaned_s)
            raise
        await self._log_provenance(job, chunking)
        times = _word_times(job, sentence, finish, chunking)
        await self._publish_end(job, delivery, sentence, chunking, times)
        self._count(job, sentence, chunking)

    def _marks(self, job: SentenceJob) -> bool:
        """Return whether the sentence gets the watermark; all attempts of a request agree about it."""
        return self.watermark if job.watermark is UNSET else job.watermark != NO_WATERMARK

    async def _publish_chunks(
        self, job: SentenceJob, attempt: int, sentence: SentenceAudio, finish: Finish
    ) -> Chunking:
        """Publish every chunk as soon as it is finished; on return all of them are stored."""
        rate_hz = self.model.describe().sample_rate_hz
        fingerprint = None if self.provenance is None else SentenceFingerprint(rate_hz)
        chunking = Chunking(rate_hz, fingerprint)
        async with tasks() as storing:
            for chunk in chunking.pause(job.pause_before_ms):
                storing.create_task(
                    self._publish_chunk(job, attempt, chunk, chunking.sample_rate_hz)
                )
            async for samples in _finished(sentence, finish):
                if not chunking.samples:
                    mark("first sound")
                for chunk in chunking.add(samples):
                    storing.create_task(
                        self._publish_chunk(job, attempt, chunk, chunking.sample_rate_hz)
                    )
            for chunk in chunking.pause(job.pause_after_ms):
                storing.create_task(
                    self._publish_chunk(job, attempt, chunk, chunking.sample_rate_hz)
                )
        return chunking

    async def _publish_chunk(
        self, job: SentenceJob, attempt: int, chunk: Chunk, sample_rate_hz: int
    ) -> None:
        message = AudioChunk(
            request=job.request,
            sentence=job.sentence,
            chunk=chunk.index,
            attempt=attempt,
            first_sample=chunk.first_sample,
            sample_rate_hz=sample_rate_hz,
            pcm=chunk.pcm,
            varies=UNSET if self.model.describe().reproducible else True,
        )
        await self.bus.publish(
            subjects.chunk(job.tenant, job.request, job.sentence, chunk.index),
            codec.encode(message),
            message_id=identity_of(job).message_id(job.sentence, chunk.index, attempt),
        )

    async def _log_provenance(self, job: SentenceJob, chunking: Chunking) -> None:
        """Enter the sentence in the log of its tenant: before the end marker, so that none is without an entry."""
        if self.provenance is None or chunking.fingerprint is None:
            return
        await self.provenance.add(
            job.tenant,
            LoggedSentence(
                request=job.request,
                sentence=job.sentence,
                spoken_unix_ms=round(time.time() * 1000),
                samples=chunking.samples,
                sample_rate_hz=chunking.sample_rate_hz,
                digest=chunking.digest,
                voice=job.voice,
                fingerprint=await asyncio.to_thread(chunking.fingerprint.finish),
            ),
        )

    async def _publish_end(
        self,
        job: SentenceJob,
        delivery: Delivery,
        sentence: SentenceAudio,
        chunking: Chunking,
        times: "_Times",
    ) -> None:
        message = SentenceSpoken(
            request=job.request,
            sentence=job.sentence,
            sentences=job.sentences,
            attempt=delivery.attempt,
            chunks=chunking.chunks,
            samples=chunking.samples,
            sample_rate_hz=chunking.sample_rate_hz,
            digest=chunking.digest,
            worker=self.worker,
            queue_ms=round(delivery.age_s * 1000),
            synthesis_ms=round(sentence.busy_s * 1000),
            words=times.words,
            word_times=times.origin,
            fault=sentence.fault or UNSET,
        )
        await self.bus.publish(
            subjects.end(job.tenant, job.request, job.sentence),
            codec.encode(message),
            message_id=identity_of(job).message_id(job.sentence, "end"),
        )

    def _count(self, job: SentenceJob, sentence: SentenceAudio, chunking: Chunking) -> None:
        engine = self.model.describe().name
        audio_s = chunking.samples / chunking.sample_rate_hz

        self.speed.add(sentence.busy_s, audio_s)
        self.metrics.sentences.labels(engine, job.language, "spoken").inc()
        self.metrics.audio.labels(engine, job.language).inc(audio_s)
        self.metrics.synthesis.labels(engine, job.language).inc(sentence.busy_s)
        self.metrics.redrawn.labels(engine, job.language).inc(sentence.redrawn)
        if sentence.fault:
            self.metrics.faulty.labels(engine, job.language, sentence.fault).inc()
            log.warning(
                "sentence_faulty",
                request=job.request,
                sentence=job.sentence,
                language=job.language,
                fault=sentence.fault,
            )

        log.info(
            "sentence_spoken",
            request=job.request,
            sentence=job.sentence,
            language=job.language,
            audio_s=round(audio_s, 3),
            synthesis_s=round(sentence.busy_s, 3),
        )


async def _finished(sentence: SentenceAudio, finish: Finish) -> AsyncIterator[Samples]:
    """Yield the finished samples of a sentence, float32 [n], as soon as they are final."""
    async for samples in sentence.stream():
        if len(finished := finish.push(samples)):
            yield finished
    if len(finished := finish.finish()):
        yield finished


class _Times(NamedTuple):
    """The word times of a sentence; unset if its words are not known."""

    words: tuple[WordTime, ...] | UnsetType = UNSET
    origin: TimesOrigin | UnsetType = UNSET


def _word_times(
    job: SentenceJob, sentence: SentenceAudio, finish: Finish, chunking: Chunking
) -> _Times:
    """Return when each word of a finished sentence is spoken."""
    if job.words is UNSET:
        return _Times()
    before = len(silence(job.pause_before_ms, chunking.sample_rate_hz))
    after = len(silence(job.pause_after_ms, chunking.sample_rate_hz))
    lead, trail = finish.margins
    # measured times can reach into the margins
    quiet = (0, 0) if sentence.times else (lead, trail)
    first = before + quiet[0]
    speech = SpeechSpan(first, max(first, chunking.samples - after - quiet[1]))
    shift = before - finish.trimmed_samples
    return _Times(*word_times(job.words, job.text, sentence.times, shift=shift, speech=speech))


def _lane(delivery: Delivery) -> str:
    """Return the lane in a sentence's subject; empty for any other subject."""
    addressed = subjects.parse_as(delivery.subject, subjects.SentenceSubject)
    return "" if addressed is None else addressed.lane
