"""Stock coqui-tts with the engine's random numbers, so that both can be compared on any device."""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from benchmarks.sentence import speak
from services.common.audio.clip import Samples
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.xtts.decoder.sampling import Noise
from services.synth_worker.engines.xtts.engine import LoadedVoice, XttsEngine
from tests.support.xtts_checkpoint import stock_model

_STOCK_TAGS = {"zh": "zh-cn"}


@dataclass(frozen=True, eq=False)
class Pair:
    """One sentence by stock and by the engine."""

    language: str
    text: str
    codes: list[int]  # of stock
    same_codes: float  # share of stock's codes in common from the beginning
    latent_error: float  # norm of the difference by the norm, on stock's codes
    sample_error: float  # the largest difference of samples, on stock's latents
    by_stock: Samples
    by_us: Samples
    stock_s: float


class StockSpeaker:
    """Stock's model on a device."""

    def __init__(self, folder: Path, device: str, defaults: Mapping[str, float]) -> None:
        """Load a checkpoint's folder; `defaults` are the sampling parameters."""
        self._model = stock_model(folder).to(device)
        self._device = torch.device(device)
        self._defaults = defaults

    @torch.inference_mode()
    def speak(self, utterance: Utterance, voice: LoadedVoice) -> tuple[list[int], Tensor, Samples]:
        """Return codes, latents [codes, width] and samples of `Xtts.inference`."""
        kept: list[Tensor] = []
        generate = self._model.gpt.generate
        decode = self._model.hifigan_decoder.forward
        heard: list[Tensor] = []

        def keep_codes(*arguments: Any, **named: Any) -> Any:
            kept.append(generate(*arguments, **named))
            return kept[-1]

        def keep_latents(latents: Tensor, *arguments: Any, **named: Any) -> Any:
            heard.append(latents)
            return decode(latents, *arguments, **named)

        with (
            _noise(utterance.seed),
            mock.patch.object(self._model.gpt, "generate", keep_codes),
            mock.patch.object(self._model.hifigan_decoder, "forward", keep_latents),
        ):
            made = self._model.inference(
                utterance.text,
                _STOCK_TAGS.get(utterance.language, utterance.language),
                voice.voice.prompt.to(self._device),
                voice.voice.embedding.to(self._device),
                temperature=self._defaults["temperature"],
                top_k=int(self._defaults["top_k"]),
                top_p=self._defaults["top_p"],
                repetition_penalty=self._defaults["repetition_penalty"],
            )
        return kept[0][0].tolist(), heard[0][0], np.asarray(made["wav"], dtype=np.float32)


@contextmanager
def _noise(seed: int) -> Iterator[None]:
    """Let torch.multinomial draw with the numbers that the engine's sampling draws, whatever the device."""
    noise = Noise(seed)

    def draw(probabilities: Tensor, *_: Any, **__: Any) -> Tensor:
        rows = torch.stack([noise.draw(probabilities.shape[-1]) for _ in probabilities])
        return (probabilities / rows.to(probabilities)).argmax(-1, keepdim=True)

    with mock.patch.object(torch, "multinomial", draw):
        yield


@torch.inference_mode()
def compare(
    stock: StockSpeaker, engine: XttsEngine, voice: LoadedVoice, utterance: Utterance
) -> Pair:
    """Speak a sentence with both, from the same seed, and return how far they are apart."""
    text, language = utterance.text, utterance.language
    begun = time.perf_counter()
    codes, latents, by_stock = stock.speak(utterance, voice)
    stock_s = time.perf_counter() - begun
    spoken = speak(engine, voice, utterance)
    reviewed, _ = engine.review(text, language, voice, codes)
    rendered = engine.render(latents, voice)
    length = min(len(rendered), len(by_stock))
    return Pair(
        language,
        text,
        codes,
        same_codes=_in_common(codes, spoken.sequence.decoding.codes) / len(codes),
        latent_error=float(torch.linalg.norm(reviewed - latents) / torch.linalg.norm(latents)),
        sample_error=float(np.abs(rendered[:length] - by_stock[:length]).max()),
        by_stock=by_stock,
        by_us=spoken.samples,
        stock_s=stock_s,
    )


def _in_common(codes: Sequence[int], others: Sequence[int]) -> int:
    pairs = zip(codes, others, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
