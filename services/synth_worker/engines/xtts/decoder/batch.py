"""From text ids and a voice to audio codes and their latents, for many sentences at once.

Continuous batching: sentences of different voices, texts and ages share every step; one joins as soon as it is opened
and leaves as soon as it stops. Each has its own memory, its own sampling and its own noise, so that it says the same
whoever shares its steps, to the last bit on a CPU.

The latents are collected as the codes are decoded: a code's latent is the state that it was chosen from. Stock
coqui-tts runs the whole model a second time for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from services.synth_worker.engines.xtts.decoder.linear import Precision
from services.synth_worker.engines.xtts.decoder.sampling import Noise, Sampling, choose, settings_of
from services.synth_worker.engines.xtts.decoder.slots import Row, Slots
from services.synth_worker.engines.xtts.decoder.transformer import AudioModel, Memory, one_position_each, one_sentence

# Hugging Face's repetition penalty also sees the ids that stand in for the prompt, which are all 1.
_PLACEHOLDER: Final = 1


@dataclass(eq=False)
class Decoding:
    """One sentence on its way. Made by `Decoder.open`, advanced by `Decoder.step`."""

    sampling: Sampling
    noise: Noise
    prompt: Tensor  # embedded text and start code, [positions, width]
    memory: Memory  # of the voice, then of the text and the codes
    said: Tensor  # bool [codes]: what the repetition penalty is for
    slot: int | None = None  # in the tables of a GPU
    started: int = 0  # positions of the memory before the first code
    codes: list[int] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)  # [width] each, one a code
    redrawn: Tensor | None = None  # the latent to choose the next code from, after going back
    stopped: bool = False  # the last code is the stop code


class Decoder:
    """The autoregressive half of XTTS, of one checkpoint."""

    def __init__(self, gpt: Any, precision: Precision, *, slots: int | None = None) -> None:
        """Pack the weights of a coqui `GPT` module, on its device.

        With `slots`, steps are of fixed shape, for so many sentences at most: what a GPU needs. Without, each sentence
        has a memory of its own, which grows.
        """
        self._gpt = gpt
        self._model = AudioModel(gpt, precision)
        self._room = gpt.max_prompt_tokens + gpt.max_text_tokens + gpt.max_mel_tokens
        self._slots = None if slots is None else Slots(self._model, slots, self._room)
        self.most_codes: int = gpt.max_gen_mel_tokens

    @torch.inference_mode()
    def voice_memory(self, latents: Tensor) -> Memory:
        """Return the memory of a voice's conditioning latents [1, positions, width], to be computed once a voice."""
        memory = self._model.transformer.new_memory(latents.shape[1])
        self._remember(memory, latents[0].to(self._model.device))
        return memory

    @torch.inference_mode()
    def open(self, voice: Memory, text: Sequence[int], sampling: Sampling, seed: int) -> Decoding:
        """Begin a sentence of these text ids, without start and stop."""
        prompt = self._prompt(text)
        if self._slots is None:
            slot, memory = None, self._model.transformer.new_memory(0)
            said = torch.zeros(self._model.codes, dtype=torch.bool)
        else:
            slot, memory = self._slots.take(sampling)
            said = self._slots.said[slot]
        memory.continue_from(voice)
        sentence = Decoding(sampling, Noise(seed), prompt, memory, said, slot)
        self._note(sentence)
        return sentence

    @torch.inference_mode()
    def step(self, sentences: Sequence[Decoding]) -> None:
        """Give each sentence its next code and the latent of it; none of them may have stopped."""
        fresh = [sentence for sentence in sentences if not sentence.codes or sentence.redrawn is not None]
        underway = [sentence for sentence in sentences if sentence.codes and sentence.redrawn is None]
        if underway:
            self._take(underway, *self._advance(underway))
        if fresh:
            latents = torch.stack([self._first_latent(sentence) for sentence in fresh])
            codes = self._chosen(fresh, latents)
            self._take(fresh, latents, codes)
            for sentence, code in zip(fresh, codes, strict=True):
                sentence.said[code] = True

    @torch.inference_mode()
    def go_back(self, sentence: Decoding, codes: int, seed: int) -> None:
        """Forget all but the first `codes` of a sentence's codes, and go on from there with the noise of a new seed."""
        sentence.redrawn = sentence.latents[codes]
        sentence.codes, sentence.latents = sentence.codes[:codes], sentence.latents[:codes]
        sentence.memory.forget(sentence.started + codes)
        sentence.noise = Noise(seed)
        sentence.stopped = False
        self._note(sentence)

    @torch.inference_mode()
    def review(self, voice: Memory, text: Sequence[int], codes: Sequence[int]) -> tuple[Tensor, list[int]]:
        """Return the latents [codes, width] of codes that are given, and the likeliest code at the place of each."""
        memory = self._model.transformer.new_memory(0)
        memory.continue_from(voice)
        latents = self._remember(memory, torch.cat([self._prompt(text), self._model.embedded(codes[:-1])]))
        latents = latents[-len(codes) :]
        return latents, self._model.scores(latents).argmax(-1).tolist()

    def close(self, sentence: Decoding) -> None:
        """Give back what a sentence holds, whether it has stopped or not."""
        if self._slots is not None and sentence.slot is not None:
            self._slots.give_back(sentence.slot)
            sentence.slot = None

    def _note(self, sentence: Decoding) -> None:
        sentence.said[:] = False
        sentence.said[[_PLACEHOLDER, self._gpt.start_audio_token, *sentence.codes]] = True

    def _prompt(self, text: Sequence[int]) -> Tensor:
        gpt = self._gpt
        ids = torch.tensor([gpt.start_text_token, *text, gpt.stop_text_token], device=self._model.device)
        words = functional.embedding(ids, gpt.text_embedding.weight) + gpt.text_pos_embedding.emb.weight[: len(ids)]
        start = gpt.mel_embedding.weight[gpt.start_audio_token] + gpt.mel_pos_embedding.emb.weight[0]
        return torch.cat([words, start.unsqueeze(0)])

    def _first_latent(self, sentence: Decoding) -> Tensor:
        """Return what the next code is chosen from [width], of a sentence that is new or has gone back."""
        if sentence.redrawn is not None:
            latent, sentence.redrawn = sentence.redrawn, None
            return latent
        latents = self._remember(sentence.memory, sentence.prompt)
        sentence.started = sentence.memory.length
        return latents[-1]

    def _advance(self, sentences: Sequence[Decoding]) -> tuple[Tensor, list[int]]:
        """Feed sentences their last codes: latents [sentences, width], and their next codes."""
        if self._slots is not None:
            return self._slots.advance(
                [
                    Row(sentence.slot, sentence.codes[-1], len(sentence.codes), sentence.noise.draw(self._model.codes))
                    for sentence in sentences
                    if sentence.slot is not None
                ]
            )
        codes = torch.tensor([sentence.codes[-1] for sentence in sentences])
        places = torch.tensor([len(sentence.codes) for sentence in sentences])
        memories = [sentence.memory for sentence in sentences]
        for memory in memories:
            memory.reserve(1)
        latents = self._model.next_latents(codes, places, one_position_each(memories))
        for memory in memories:
            memory.advance(1)
        chosen = self._chosen(sentences, latents)
        for sentence, code in zip(sentences, chosen, strict=True):
            sentence.said[code] = True
        return latents, chosen

    def _chosen(self, sentences: Sequence[Decoding], latents: Tensor) -> list[int]:
        device = self._model.device
        noise = torch.stack([sentence.noise.draw(self._model.codes) for sentence in sentences]).to(device)
        said = torch.stack([sentence.said for sentence in sentences])
        settings = settings_of([sentence.sampling for sentence in sentences], device)
        codes: list[int] = choose(self._model.scores(latents), said, noise, settings).tolist()
        return codes

    def _take(self, sentences: Sequence[Decoding], latents: Tensor, codes: Sequence[int]) -> None:
        for sentence, code, latent in zip(sentences, codes, latents.unbind(0), strict=True):
            sentence.codes.append(code)
            sentence.latents.append(latent)
            sentence.stopped = code == self._gpt.stop_audio_token

    def _remember(self, memory: Memory, positions: Tensor) -> Tensor:
        memory.reserve(len(positions))
        latents = self._model.transformer(positions, one_sentence(memory))
        memory.advance(len(positions))
        return latents
