"""Measures what was spoken: each sentence for words and flaws, each pair of sentences for the voice."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.quality import score
from benchmarks.quality.defects import Inspection
from benchmarks.quality.gallery import Gallery, Likeness
from benchmarks.quality.instruments import ENCODERS, Instruments
from benchmarks.quality.plan import Saying
from benchmarks.quality.references import RATE_HZ, Samples
from benchmarks.quality.synthesis import Job, Spoken

_PAUSE = np.zeros(RATE_HZ // 4, np.float32)


@dataclass(frozen=True, eq=False)
class SentenceScore:
    """One spoken sentence."""

    job: Job
    heard: str
    cer: float
    wer: float | None  # None where words are not written apart
    reading_cer: float | None  # ja: of the kana; zh: of the syllables without tones
    tonal_cer: float | None  # zh: of the syllables with tones
    inspection: Inspection
    spoken: Spoken

    @property
    def real_time_factor(self) -> float:
        """Return seconds of processing per second of audio."""
        return self.spoken.total_s / self.inspection.seconds


@dataclass(frozen=True, eq=False)
class ClipScore:
    """Two sentences in one voice."""

    language: str
    target: str
    likeness: Mapping[str, Likeness]  # by encoder
    opinion: Mapping[str, float]  # of DNSMOS and Distill-MOS


def measure_sentence(job: Job, spoken: Spoken, instruments: Instruments) -> SentenceScore:
    """Hear a sentence and compare it with its text."""
    heard = instruments.transcript(spoken.samples, job.language)
    return SentenceScore(
        job=job,
        heard=heard,
        cer=score.character_errors(job.text, heard, job.language),
        wer=None
        if job.language in score.UNSPACED
        else score.word_errors(job.text, heard, job.language),
        reading_cer=score.reading_errors(job.text, heard, job.language),
        tonal_cer=score.tonal_errors(job.text, heard, job.language),
        inspection=instruments.inspection(spoken.samples),
        spoken=spoken,
    )


def measure_clip(
    saying: Saying, spoken: list[Spoken], galleries: Mapping[str, Gallery], instruments: Instruments
) -> ClipScore:
    """Compare the voice of the joined sentences with the held-out recordings of all speakers."""
    clip = joined([one.samples for one in spoken])
    voices = instruments.voice(clip)
    return ClipScore(
        language=saying.language,
        target=saying.target,
        likeness={name: galleries[name].likeness(voices[name], saying.target) for name in ENCODERS},
        opinion=instruments.opinion(clip),
    )


def joined(sentences: list[Samples]) -> Samples:
    """Put sentences one after another, a quarter of a second apart."""
    return np.concatenate([part for sentence in sentences for part in (sentence, _PAUSE)])
