"""The XTTS-v2 engine: coqui-tts's modules and weights, with our own decoding and vocoding.

One step samples the next audio code of every sentence in flight. Once a sentence has enough codes for a
chunk, the vocoder turns their latents into audio; chunks start small, for a short time to first audio,
and grow.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import structlog
import torch

from services.common.audio.clip import Clip, Samples
from services.common.wire.failures import (
    EngineUnavailable,
    UnknownVoice,
    UnsupportedLanguage,
)
from services.common.wire.languages import LANGUAGES
from services.common.wire.options import AS_USUAL, Parameters
from services.synth_worker.engines.protocol import (
    UNKNOWN_BUILT_IN,
    EngineDescription,
    Level,
    Step,
    Utterance,
)
from services.synth_worker.engines.xtts import conditioning, speakers
from services.synth_worker.engines.xtts.decoder.batch import BatchDecoder, Decoding
from services.synth_worker.engines.xtts.decoder.guard import Fault, RunawayGuard
from services.synth_worker.engines.xtts.decoder.linear import Precision, give_back_freed_memory
from services.synth_worker.engines.xtts.decoder.transformer import Memory
from services.synth_worker.engines.xtts.defaults import RELEASED, defaults_of, sampling_of
from services.synth_worker.engines.xtts.device_failures import explained
from services.synth_worker.engines.xtts.devices import best_precision, choose_device
from services.synth_worker.engines.xtts.resident import Resident
from services.synth_worker.engines.xtts.text.tokenizer import (
    MAX_CHARACTERS,
    TextEncoder,
    missing_extras,
)
from services.synth_worker.engines.xtts.vocoder.stream import Vocoder, VocoderStream
from services.synth_worker.engines.xtts.weights.checkpoint import load
from services.synth_worker.engines.xtts.weights.fingerprint import fingerprint
from services.synth_worker.engines.xtts.weights.location import (
    SPEAKERS,
    WeightSettings,
    find_weights,
)

log = structlog.get_logger()

SAMPLE_RATE_HZ: Final = 24_000
_CODE_VERSION: Final = "1"  # changes whenever the audio of a seed or a voice changes
_LICENCE: Final = "Coqui Public Model License 1.0 (non-commercial): https://coqui.ai/cpml"
# estimated, so the spread is wide
_LEVEL: Final = Level(usual_lufs=-22.0, spread_lu=3.0, ahead_ms=200)
_FIRST_CHUNK: Final = 8  # codes of 46 ms; the vocoder holds back about three until more follow
_CHUNK_GROWTH: Final = 4
_LARGEST_CHUNK: Final = 24
_CHUNKS: Final = tuple(range(_FIRST_CHUNK, _LARGEST_CHUNK + 1, _CHUNK_GROWTH))
# frames of 11 ms: on a GPU chunks are multiples of it, so that streams share renders
_QUANTUM: Final = 8
# times that a sentence's codes are sampled; the last attempt is delivered, with its fault
_TRIES: Final = 3

_NOTHING: Final = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True)
class XttsSettings:
    """An operator's settings for the model."""

    weights: WeightSettings
    device: str = "auto"  # or "cpu", "cuda", "cuda:1"
    precision: Precision | None = None  # None: bfloat16 if the machine supports it
    threads: int = 2
    max_batch: int = 8


@dataclass(frozen=True, eq=False)
class LoadedVoice:
    """A voice, with its prefilled KV cache in the decoder."""

    voice: conditioning.XttsVoice
    memory: Memory


@dataclass(eq=False)
class XttsSentence:
    """One sentence in flight."""

    seed: int
    decoding: Decoding
    stream: VocoderStream
    guard: RunawayGuard
    chunk: int = _FIRST_CHUNK  # codes in the next chunk
    vocoded: int = 0  # codes whose latents were passed to the vocoder
    tries: int = 1
    fault: Fault | Literal[""] = ""  # of the last attempt


class XttsEngine:
    """Coqui XTTS-v2.

    On a CPU a seed gives the same samples to the last bit whatever shares its batch. On a GPU this was not measured:
    the codes may differ with the batch, by rounding.
    """

    def __init__(self, settings: XttsSettings) -> None:
        self._settings = settings
        self._device = choose_device(settings.device)
        self._precision = settings.precision or best_precision(self._device)
        self._languages = tuple(LANGUAGES)  # `load` removes those whose packages are not installed
        self._defaults: Mapping[str, float] = RELEASED
        self._progress = ""
        self._fingerprint = "unloaded"
        self._speakers: Mapping[str, conditioning.XttsVoice] = {}
        self._resident: Resident | None = None

    @property
    def defaults(self) -> Mapping[str, float]:
        """Return the parameters of a request that sets none."""
        return self._defaults

    def describe(self) -> EngineDescription:
        """Return the description; once loaded, with its voices, and without languages whose packages are missing."""
        default = speakers.default_speaker(self._speakers)
        return EngineDescription(
            name="xtts",
            version=f"{_CODE_VERSION}-{self._precision}-{self._fingerprint}",
            languages=self._languages,
            max_characters={code: MAX_CHARACTERS[code] for code in self._languages},
            licence=_LICENCE,
            sample_rate_hz=SAMPLE_RATE_HZ,
            device=str(self._device),
            max_batch=self._settings.max_batch,
            level=_LEVEL,
            parameters=self._defaults,
            progress=self._progress,
            voices=speakers.built_in_voices(self._speakers),
            default_voices=dict.fromkeys(self._languages, default) if default else {},
            reproducible=self._device.type == "cpu",
        )

    def load(self) -> None:
        """Find or fetch the weights, and load them. Raises EngineUnavailable, with advice."""
        with self._explaining():
            self._load()

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """Raise the failures of the device with an explanation: EngineUnavailable or EngineBroken."""
        try:
            yield
        except RuntimeError as error:  # torch's own exceptions are RuntimeErrors
            known = explained(error, self._device)
            if known is error:
                raise
            raise known from error

    def _load(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.set_device(
                self._device
            )  # streams and graphs are those of the current device
        folder = find_weights(self._settings.weights, self._report_progress)
        self._report_progress("reading the weights")
        self._fingerprint = fingerprint(folder)
        texts = TextEncoder(folder / "vocab.json")
        checkpoint = load(folder, texts.start_id, texts.stop_id, texts.tokens).on(self._device)
        width = checkpoint.config.model_args.gpt_n_model_channels
        self._speakers = speakers.load_speakers(folder / SPEAKERS, width)
        slots = self._settings.max_batch if self._device.type == "cuda" else None
        decoder = BatchDecoder(checkpoint.gpt, self._precision, slots=slots)
        vocoder = Vocoder(checkpoint.vocoder, quantum=1 if slots is None else _QUANTUM)
        if slots is not None:
            checkpoint.without_blocks()
            torch.cuda.empty_cache()
        self._resident = Resident(checkpoint, texts, decoder, vocoder)
        self._defaults = defaults_of(checkpoint.config)
        without_tag = dict.fromkeys(LANGUAGES, "its token in vocab.json")
        for language in texts.languages:
            del without_tag[language]
        self._leave_out(without_tag | missing_extras(LANGUAGES))
        torch.set_num_threads(self._settings.threads)  # packing may use all threads
        if slots is not None:
            self._report_progress("warming up")
            self._resident.warm_up(slots, SAMPLE_RATE_HZ, _CHUNKS)
        give_back_freed_memory()
        self._report_progress("")

    def _leave_out(self, missing: Mapping[str, str]) -> None:
        for language, package in missing.items():
            log.warning("language_unavailable", language=language, missing=package)
        self._languages = tuple(code for code in LANGUAGES if code not in missing)

    def condition(self, clips: Sequence[Clip], parameters: Parameters = AS_USUAL) -> bytes:
        """Compute a voice, 133 kB, from clips of one speaker. Raises UnusableReference if they have none."""
        checkpoint = self._loaded().checkpoint
        seconds = parameters.gpt_cond_len or checkpoint.config.gpt_cond_len
        with self._explaining():
            return conditioning.condition(checkpoint, clips, seconds).to_bytes(self._fingerprint)

    def built_in(self, name: str) -> bytes:
        """Return a studio speaker of the release. Raises UnknownVoice."""
        speaker = self._speakers.get(name)
        if speaker is None:
            raise UnknownVoice(UNKNOWN_BUILT_IN)
        return speaker.to_bytes(self._fingerprint)

    def restore(self, voice: bytes) -> LoadedVoice:
        """Deserialize a voice into the form that `open` accepts. Raises MalformedMessage for other bytes."""
        resident = self._loaded()
        known = conditioning.voice_from_bytes(voice, self._fingerprint, resident.width)
        with self._explaining():
            return LoadedVoice(known, resident.decoder.voice_memory(known.prompt))

    def open(self, utterance: Utterance, voice: LoadedVoice) -> XttsSentence:
        """Begin a sentence. Raises UnspeakableText, UnsupportedLanguage."""
        if utterance.language not in self._languages:
            raise UnsupportedLanguage(
                f"this worker does not speak {utterance.language!r}; it speaks {', '.join(self._languages)}"
            )
        resident = self._loaded()
        ids = self._ids(utterance.text, utterance.language)
        speed = utterance.parameters.speed or 1.0
        guard = RunawayGuard(
            resident.texts.spoken_characters(utterance.text, utterance.language),
            utterance.language,
            SAMPLE_RATE_HZ,
            resident.decoder.most_codes,
            speed=speed,
        )
        sampling = sampling_of(utterance.parameters, self._defaults)
        with self._explaining():
            return XttsSentence(
                seed=utterance.seed,
                decoding=resident.decoder.open(voice.memory, ids, sampling, utterance.seed),
                stream=resident.vocoder.open(voice.voice.embedding, speed),
                guard=guard,
            )

    def step(self, batch: Sequence[XttsSentence]) -> list[Step]:
        """Sample each sentence's next code, and vocode the sentences that have enough for a chunk."""
        with self._explaining():
            return self._step(batch)

    def _step(self, batch: Sequence[XttsSentence]) -> list[Step]:
        resident = self._loaded()
        resident.decoder.step([sentence.decoding for sentence in batch])
        faults = [self._to_repair(sentence) for sentence in batch]
        ready = [
            sentence
            for sentence, fault in zip(batch, faults, strict=True)
            if not fault and _is_chunk_ready(sentence)
        ]
        audio = dict(zip(map(id, ready), self._vocode(ready), strict=True))
        steps = [
            self._repair(sentence)
            if fault
            else Step(
                audio.get(id(sentence), _NOTHING),
                sentence.decoding.stopped,
                fault=sentence.fault if sentence.decoding.stopped else "",
            )
            for sentence, fault in zip(batch, faults, strict=True)
        ]
        for sentence, step in zip(batch, steps, strict=True):
            if step.done:
                self.discard(sentence)
        return steps

    def review(
        self, text: str, language: str, voice: LoadedVoice, codes: Sequence[int]
    ) -> tuple[torch.Tensor, list[int]]:
        """Return the latents [codes, width] of given codes, and the likeliest code at each index."""
        return self._loaded().decoder.review(voice.memory, self._ids(text, language), codes)

    def render(self, latents: torch.Tensor, voice: LoadedVoice) -> Samples:
        """Return the samples of the latents [codes, width] of a whole sentence."""
        vocoder = self._loaded().vocoder
        [samples] = vocoder.feed([vocoder.open(voice.voice.embedding)], [latents], [True])
        return np.asarray(samples.numpy())

    def discard(self, sequence: XttsSentence) -> None:
        """Release what a sentence holds; has no effect on one that is done."""
        self._loaded().decoder.close(sequence.decoding)

    def close(self) -> None:
        """Free the model."""
        self._resident = None

    def _ids(self, text: str, language: str) -> list[int]:
        resident = self._loaded()
        return resident.texts.encode(
            text, language, resident.checkpoint.config.model_args.gpt_max_text_tokens
        )

    def _report_progress(self, progress: str) -> None:
        self._progress = progress

    def _to_repair(self, sentence: XttsSentence) -> Fault | None:
        """Return a fault that is to be repaired; the last attempt ends with its fault and is delivered."""
        fault = sentence.guard.fault(sentence.decoding.codes, stopped=sentence.decoding.stopped)
        if not fault or sentence.tries < _TRIES:
            return fault
        sentence.fault = fault
        sentence.decoding.stopped = True
        return None

    def _repair(self, sentence: XttsSentence) -> Step:
        """Sample the codes not yet vocoded again."""
        sentence.tries += 1
        sentence.guard.start_again()
        self._loaded().decoder.go_back(
            sentence.decoding, sentence.vocoded, sentence.seed + sentence.tries - 1
        )
        return Step(_NOTHING, done=False, redrawn=True)

    def _vocode(self, sentences: Sequence[XttsSentence]) -> list[Samples]:
        """Vocode the latents that were not passed to the vocoder yet."""
        audio = self._loaded().vocoder.feed(
            [sentence.stream for sentence in sentences],
            [torch.stack(sentence.decoding.latents[sentence.vocoded :]) for sentence in sentences],
            [sentence.decoding.stopped for sentence in sentences],
        )
        made = [np.clip(samples.numpy(), -1, 1) for samples in audio]
        for sentence, samples in zip(sentences, made, strict=True):
            sentence.vocoded = len(sentence.decoding.codes)
            sentence.chunk = min(sentence.chunk + _CHUNK_GROWTH, _LARGEST_CHUNK)
            sentence.guard.add_audio(samples)
        return made

    def _loaded(self) -> Resident:
        if self._resident is None:
            raise EngineUnavailable("the XTTS engine is not loaded; call load() first")
        return self._resident


def _is_chunk_ready(sentence: XttsSentence) -> bool:
    return (
        sentence.decoding.stopped
        or len(sentence.decoding.codes) - sentence.vocoded >= sentence.chunk
    )
