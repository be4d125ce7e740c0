"""The tone engine: no speech, but an exact watermark in every sample, so that a test can tell whose sound it hears.

The sample at place n of a sentence is a function of the sentence's seed and n alone (SplitMix64 of both, Steele et al.
2014, folded to 16 bits): lost, repeated, foreign or shifted samples cannot go unnoticed.
"""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

import numpy as np

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import UnspeakableText, UnusableReference
from services.common.wire.languages import LANGUAGES
from services.common.wire.messages import AS_USUAL, Parameters
from services.synth_worker.engines.protocol import EngineDescription, Step, Utterance

SAMPLE_RATE_HZ: Final = 24_000
SAMPLES_PER_CHARACTER: Final = 1_440  # 60 ms: the pace of ordinary speech
SAMPLES_PER_STEP: Final = 6_000  # 250 ms
_AMPLITUDE_BITS: Final = 10  # about -30 dB: not to be played loud, yet every sample tells


def watermark(seed: int, first_sample: int, count: int) -> Samples:
    """Return samples [first_sample, first_sample + count) of the sentence with this seed: float32 [count], exact in
    16 bits (a multiple of 1/32768)."""
    places = np.arange(first_sample, first_sample + count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        mixed = (places + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    signed = (mixed >> np.uint64(64 - _AMPLITUDE_BITS - 1)).astype(np.int64) - (1 << _AMPLITUDE_BITS)
    return (signed / 32768).astype(np.float32)


@dataclass(eq=False)
class ToneSequence:
    """A sentence in flight."""

    seed: int
    total: int  # samples
    made: int = 0
    end: Literal["whole", "crash", "hang"] = "whole"  # what comes of it after its first step


class ToneEngine:
    """An `Engine` for contract, integration and chaos tests."""

    def __init__(
        self,
        *,
        real_time_factor: float = 0.0,
        max_characters: int = 250,
        max_batch: int = 16,
        crash_word: str = "",
        hang_word: str = "",
    ) -> None:
        """`real_time_factor`: seconds that a step sleeps for a second of sound of the whole batch.

        A sentence with the `crash_word` kills the process in its second step, one with the `hang_word` never ends it.
        """
        self._real_time_factor = real_time_factor
        self._ends: dict[str, Literal["crash", "hang"]] = {crash_word: "crash", hang_word: "hang"}
        self._ends.pop("", None)
        self._description = EngineDescription(
            name="tone",
            version="1",
            languages=tuple(LANGUAGES),
            max_characters=dict.fromkeys(LANGUAGES, max_characters),
            licence="Apache-2.0",
            sample_rate_hz=SAMPLE_RATE_HZ,
            device="cpu",
            max_batch=max_batch,
            level=None,  # every sample is a watermark
            parameters={"speed": 1.0},
        )

    def describe(self) -> EngineDescription:
        """Say what this engine is."""
        return self._description

    def load(self) -> None:
        """Nothing to load."""

    def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:  # noqa: ARG002
        """Return a digest of the clips. Raises UnusableReference for silence."""
        if not any(np.any(clip.samples) for clip in clips):
            raise UnusableReference("the reference audio is silent; send 6-30 s of one person speaking")
        return sha256(b"".join(clip.samples.tobytes() for clip in clips)).digest()

    def restore(self, voice: bytes) -> bytes:
        """A tone has no voice to restore."""
        return voice

    def open(self, utterance: Utterance, voice: bytes) -> ToneSequence:  # noqa: ARG002  # a tone has no voice
        """Begin a sentence."""
        if not any(character.isalnum() for character in utterance.text):
            raise UnspeakableText("the sentence has no letter and no digit")
        speed = utterance.parameters.speed or 1.0
        sequence = ToneSequence(utterance.seed, round(len(utterance.text) * SAMPLES_PER_CHARACTER / speed))
        for word, end in self._ends.items():
            if word in utterance.text:
                sequence.end = end
        return sequence

    def step(self, batch: Sequence[ToneSequence]) -> list[Step]:
        """Make up to 250 ms of every sentence."""
        if self._real_time_factor:
            time.sleep(self._real_time_factor * SAMPLES_PER_STEP / SAMPLE_RATE_HZ)
        return [self._advance(sequence) for sequence in batch]

    def _advance(self, sequence: ToneSequence) -> Step:
        if sequence.made and sequence.end == "crash":
            signal.raise_signal(signal.SIGSEGV)  # in this thread, as a fault: it does not go on beside its death
        while sequence.made and sequence.end == "hang":
            time.sleep(1)
        count = min(SAMPLES_PER_STEP, sequence.total - sequence.made)
        samples = watermark(sequence.seed, sequence.made, count)
        sequence.made += count
        return Step(samples, done=sequence.made == sequence.total)

    def discard(self, sequence: ToneSequence) -> None:
        """A tone holds nothing."""

    def close(self) -> None:
        """A tone holds nothing."""
