"""The embedded engine behind the worker's engine protocol."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from threadpoolctl import ThreadpoolController

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import (
    EngineUnavailable,
    UnknownVoice,
    UnspeakableText,
    UnsupportedLanguage,
)
from services.common.wire.languages import LANGUAGES
from services.common.wire.options import AS_USUAL, Parameters
from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.g2p import VOCABULARY, Phonemizer
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.envelope import EnvelopeFilter
from services.synth_worker.engines.embedded.rendering.kokoro import SAMPLE_RATE_HZ, Kokoro
from services.synth_worker.engines.embedded.rendering.prosody import pitch_scale
from services.synth_worker.engines.embedded.rendering.renderer import RenderOptions, render
from services.synth_worker.engines.embedded.rendering.timing import SentenceTiming
from services.synth_worker.engines.embedded.rendering.tokens import part_owners, token_parts
from services.synth_worker.engines.embedded.voices.enrolment import Enrolment
from services.synth_worker.engines.embedded.voices.styles import (
    STOCK_NAMES,
    STOCK_VOICES,
    Recolouring,
    StockStyles,
    built_in_voices,
    towards,
)
from services.synth_worker.engines.embedded.voices.tuner import Tuner
from services.synth_worker.engines.embedded.voices.voice import (
    ClonedVoice,
    built_in_voice,
    stock_voice,
    voice_from_bytes,
)
from services.synth_worker.engines.embedded.weights import SHA256
from services.synth_worker.engines.protocol import (
    UNKNOWN_BUILT_IN,
    EngineDescription,
    Level,
    Step,
    Utterance,
)

_CODE_VERSION: Final = "7"  # increase it when the audio of an utterance changes but no asset did
_MOST_CHARACTERS: Final = {"zh": 80, "ja": 100, "ko": 120, "ar": 200, "hi": 200}
_MOST_CHARACTERS_ELSEWHERE: Final = 240
# `task bench:loudness` measures it
_LEVEL: Final = Level(usual_lufs=-21.6, spread_lu=0.8, ahead_ms=200, whole_ms=1200, fall_lu=0.9)
_LICENCE: Final = (
    "Apache-2.0 (Kokoro-82M, Resemblyzer); calls espeak-ng, GPL-3.0-or-later, as a separate program"
)


@dataclass(frozen=True)
class EmbeddedSettings:
    """Configuration of the engine."""

    cache: Path  # holds the joined weights; 250 MB
    threads: int = 2
    runtime: graph.Runtime | None = None  # that of the audio; none: the best for the processor


@dataclass(frozen=True, eq=False)
class LoadedVoice:
    """A cloned voice with its filter made ready."""

    cloned: ClonedVoice
    filter: EnvelopeFilter | None  # none for a stock voice


@dataclass(eq=False)
class SentenceInProgress:
    """One sentence in progress: its remaining audio."""

    audio: Iterator[Samples]
    timing: SentenceTiming
    audible: bool = False


@dataclass(frozen=True, eq=False)
class _Resident:
    """The loaded models."""

    kokoro: Kokoro
    styles: StockStyles
    enrolment: Enrolment
    pools: ThreadpoolController  # of the linear algebra under numpy


class EmbeddedEngine:
    """Kokoro-82M with cloned timbre, pitch and channel colour, on the CPU.

    Equal utterances in equal voices give equal bytes, whatever their seeds: nothing in this engine is drawn at random.
    """

    def __init__(self, settings: EmbeddedSettings) -> None:
        self._settings = settings
        self._phonemizer = Phonemizer()
        self._stock_pitch = assets.load_stock_pitch()
        self._resident: _Resident | None = None

    def describe(self) -> EngineDescription:
        """Describe this engine. One sequence per step: the model renders one sentence at a time."""
        return EngineDescription(
            name="embedded",
            version=_version(),
            languages=tuple(LANGUAGES),
            max_characters={
                code: _MOST_CHARACTERS.get(code, _MOST_CHARACTERS_ELSEWHERE) for code in LANGUAGES
            },
            licence=_LICENCE,
            sample_rate_hz=SAMPLE_RATE_HZ,
            device="cpu",
            max_batch=1,
            level=_LEVEL,
            parameters={"speed": 1.0},
            voices=built_in_voices(),
            default_voices={language: high for language, (high, _) in STOCK_VOICES.items()},
        )

    def load(self) -> None:
        """Load the model, joining its weights at the first time. Raises EngineUnavailable where that cannot be."""
        assets.check_vocabulary()
        kokoro = Kokoro(self._settings.cache, self._settings.threads, self._settings.runtime)
        styles = StockStyles(assets.load_arrays(assets.STOCK_VOICES))
        enrolment = Enrolment(
            encoder=assets.load_speaker_encoder(),
            tuner=Tuner.from_arrays(assets.load_arrays(assets.TUNER)),
            space=assets.load_arrays(assets.STYLE_SPACE),
            styles=styles,
            stock_pitch=self._stock_pitch,
        )
        self._phonemizer.load()
        self._resident = _Resident(kokoro, styles, enrolment, ThreadpoolController())

    def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:  # noqa: ARG002
        """Compute a voice, at most 150 kB, from clips of one speaker. Raises UnusableReference where they hold none."""
        with self._one_thread():
            return self._loaded().enrolment.enrol(clips).to_bytes()

    def stock_voice(self, pitch_hz: float) -> bytes:
        """Return a voice without cloning: the stock voice nearest to a median pitch in Hz."""
        return stock_voice(pitch_hz).to_bytes()

    def built_in(self, name: str) -> bytes:
        """Return a stock voice by its name. Raises UnknownVoice."""
        if name not in STOCK_NAMES:
            raise UnknownVoice(UNKNOWN_BUILT_IN)
        return built_in_voice(name).to_bytes()

    def restore(self, voice: bytes) -> LoadedVoice:
        """Turn a serialised voice into what `open` takes. Raises MalformedMessage for bytes that are no voice."""
        cloned = voice_from_bytes(voice)
        if not len(cloned.cepstra):
            return LoadedVoice(cloned, None)
        with self._one_thread():
            return LoadedVoice(cloned, EnvelopeFilter(cloned.cepstra, cloned.bands))

    def open(self, utterance: Utterance, voice: LoadedVoice) -> SentenceInProgress:
        """Begin a sentence. Raises UnspeakableText for text without phonemes, UnsupportedLanguage."""
        if utterance.language not in LANGUAGES:
            raise UnsupportedLanguage(
                f"this engine does not speak that language; it speaks {', '.join(LANGUAGES)}"
            )
        resident = self._loaded()
        reading = self._phonemizer.reading(utterance.text, utterance.language)
        parts = token_parts(reading.phonemes, VOCABULARY)
        if not parts:
            raise UnspeakableText("the sentence contains nothing that can be spoken; send words")
        options = self._options(utterance.language, voice, resident.styles)
        options = replace(options, speed=utterance.parameters.speed or 1.0)
        timing = SentenceTiming(part_owners(reading.phonemes, reading.owners))
        audio = render(resident.kokoro, resident.styles, options, parts, timing)
        return SentenceInProgress(audio, timing)

    def step(self, batch: Sequence[SentenceInProgress]) -> list[Step]:
        """Render the next window of each sentence, 0.25 to 4 s of audio; the step after the last window returns `done`.

        Raises UnspeakableText where the model makes nothing but silence of a sentence.
        """
        with self._one_thread():
            return [_advance(sentence) for sentence in batch]

    def discard(self, sequence: SentenceInProgress) -> None:
        """Give up a sentence."""
        sequence.audio = iter(())

    def close(self) -> None:
        """Free the model and end the child process of the g2p."""
        self._resident = None
        self._phonemizer.close()

    def _one_thread(self) -> AbstractContextManager[object]:
        """Keep numpy's linear algebra on one thread: with several, sums, and so bytes, would depend on their number."""
        limited: AbstractContextManager[object] = self._loaded().pools.limit(
            limits=1, user_api="blas"
        )
        return limited

    def _loaded(self) -> _Resident:
        if self._resident is None:
            raise EngineUnavailable("the embedded engine is not loaded; call load() first")
        return self._resident

    def _options(self, language: str, voice: LoadedVoice, styles: StockStyles) -> RenderOptions:
        cloned = voice.cloned
        name = cloned.stock_name or styles.name_for(language, low=cloned.low)
        if cloned.timbre is None:
            return RenderOptions(language, name, np.float32(1), None, None)
        scale = pitch_scale(cloned.pitch_hz, self._stock_pitch[language][name])
        shift = cloned.shifts.get(language)
        recolouring = towards(cloned.timbre, language) if shift is None else Recolouring(1, shift)
        return RenderOptions(language, name, scale, recolouring, voice.filter)


def _advance(sentence: SentenceInProgress) -> Step:
    samples = next(sentence.audio, None)
    if samples is not None:
        sentence.audible = True
        return Step(samples, done=False)
    if not sentence.audible:
        raise UnspeakableText("this sentence has no audible content; send other words")
    times = tuple(sentence.timing.spans)
    return Step(np.zeros(0, dtype=np.float32), done=True, times=times)


def _version() -> str:
    """Return the version of the code and everything that shapes the audio: weights, graph and assets."""
    digest = hashlib.sha256(
        f"{SHA256} {graph.VERSION} {sorted(assets.checksums().items())}".encode()
    )
    return f"{_CODE_VERSION}-{digest.hexdigest()[:12]}"
