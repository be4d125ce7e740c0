"""The tone engine: instead of speech, a watermark in every sample, so that a test can verify audio exactly.

Sample n of a sentence depends only on the sentence's seed and n (SplitMix64 of both, Steele et al. 2014, folded to 16
bits), so lost, repeated, shifted or swapped samples are always detected.
"""

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import numpy as np
from msgspec import Meta

from services.common.audio.clip import Clip, Samples
from services.common.voice_tensors import VoiceTensors, pack_tensors, unpack_tensors
from services.common.wire.failures import (
    MalformedMessage,
    UnknownVoice,
    UnspeakableText,
    UnusableReference,
)
from services.common.wire.languages import LANGUAGES
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.parts import BuiltInVoice
from services.synth_worker.engines.protocol import (
    UNKNOWN_BUILT_IN,
    Engine,
    EngineDescription,
    Step,
    Utterance,
)
from services.synth_worker.engines.spec import EngineEnvironment, EngineSpec, Resources

SAMPLE_RATE_HZ: Final = 24_000
SAMPLES_PER_CHARACTER: Final = 1_440  # 60 ms: a typical speaking rate
SAMPLES_PER_STEP: Final = 6_000  # 250 ms
_VOICES: Final = tuple(BuiltInVoice(name=name, gender="neutral") for name in ("low", "high"))
_AMPLITUDE_BITS: Final = 10  # about -30 dB: quiet if played, yet every sample is distinctive


def watermark(seed: int, first_sample: int, count: int) -> Samples:
    """Return samples [first_sample, first_sample + count) of the sentence with this seed: float32 [count], exact in
    16 bits (a multiple of 1/32768)."""
    indices = np.arange(first_sample, first_sample + count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        mixed = (indices + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    signed = (mixed >> np.uint64(64 - _AMPLITUDE_BITS - 1)).astype(np.int64) - (
        1 << _AMPLITUDE_BITS
    )
    return (signed / 32768).astype(np.float32)


@dataclass(eq=False)
class ToneSequence:
    """A sentence in flight."""

    seed: int
    total: int  # samples
    made: int = 0
    end: Literal["whole", "crash", "hang"] = "whole"  # what happens after its first step


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
        """Set up an engine whose steps sleep `real_time_factor` seconds per second of audio of the whole batch.

        A sentence with the `crash_word` crashes the process in its second step; with the `hang_word` that step hangs.
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
            voices=_VOICES,
            default_voices=dict.fromkeys(LANGUAGES, _VOICES[0].name),
        )

    def describe(self) -> EngineDescription:
        """Return the engine's description."""
        return self._description

    def load(self) -> None:
        """Do nothing: there is no model."""

    def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:  # noqa: ARG002
        """Return a digest of the clips. Raises UnusableReference for silence."""
        if not any(np.any(clip.samples) for clip in clips):
            raise UnusableReference(
                "the reference audio is silent; send 6-30 s of one person speaking"
            )
        return voice_of(b"".join(clip.samples.tobytes() for clip in clips))

    def built_in(self, name: str) -> bytes:
        """Return a digest of the name. Raises UnknownVoice."""
        if name not in {voice.name for voice in _VOICES}:
            raise UnknownVoice(UNKNOWN_BUILT_IN)
        return voice_of(name.encode())

    def restore(self, voice: bytes) -> bytes:
        """Return the bytes: they are the voice. Raises MalformedMessage for those of another engine."""
        if unpack_tensors(voice).engine != "tone":
            raise MalformedMessage("the computed voice is not one of the tone engine")
        return voice

    def open(self, utterance: Utterance, voice: bytes) -> ToneSequence:  # noqa: ARG002  # the voice has no effect
        """Begin a sentence."""
        if not any(character.isalnum() for character in utterance.text):
            raise UnspeakableText("the sentence has no letter and no digit")
        speed = utterance.parameters.speed or 1.0
        sequence = ToneSequence(
            utterance.seed, round(len(utterance.text) * SAMPLES_PER_CHARACTER / speed)
        )
        for word, end in self._ends.items():
            if word in utterance.text:
                sequence.end = end
        return sequence

    def step(self, batch: Sequence[ToneSequence]) -> list[Step]:
        """Advance every sentence by up to 250 ms."""
        if self._real_time_factor:
            time.sleep(self._real_time_factor * SAMPLES_PER_STEP / SAMPLE_RATE_HZ)
        return [self._advance(sequence) for sequence in batch]

    def _advance(self, sequence: ToneSequence) -> Step:
        if sequence.made and sequence.end == "crash":
            # in this thread, as a fault does: nothing runs after it
            signal.raise_signal(signal.SIGSEGV)
        while sequence.made and sequence.end == "hang":
            time.sleep(1)
        count = min(SAMPLES_PER_STEP, sequence.total - sequence.made)
        samples = watermark(sequence.seed, sequence.made, count)
        sequence.made += count
        return Step(samples, done=sequence.made == sequence.total)

    def discard(self, sequence: ToneSequence) -> None:
        """Do nothing: there is nothing to free."""

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


class ToneEnvironment(EngineEnvironment, frozen=True, kw_only=True):
    """Settings of the tone engine."""

    tone_real_time_factor: Annotated[float, Meta(ge=0)] = 0.0  # to imitate a slow engine
    tone_crash_word: str = ""  # a sentence with this word crashes the engine process
    tone_hang_word: str = ""  # a sentence with this word hangs the engine


def voice_of(origin: bytes) -> bytes:
    """Return a serialised voice: a digest of what it is made of."""
    digest = np.frombuffer(sha256(origin).digest(), dtype=np.uint8).astype(np.float32)
    return pack_tensors(VoiceTensors("tone", "1", {"digest": digest}))


def build(settings: ToneEnvironment, _resources: Resources) -> Engine[Any, Any]:
    """Return the engine."""
    return ToneEngine(
        real_time_factor=settings.tone_real_time_factor,
        crash_word=settings.tone_crash_word,
        hang_word=settings.tone_hang_word,
    )


ENGINE: Final = EngineSpec(name="tone", settings=ToneEnvironment, build=build, deployed=False)
