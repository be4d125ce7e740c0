"""Decodes text ids and a voice into audio codes and their latents, many sentences at a time.

How it works
------------

Each sentence is one sequence (`Decoding`) with its own KV cache (`Memory`), sampling settings and noise.
Its cache is prefilled in two parts: the voice's conditioning latents, computed once per voice and copied,
and then the embedded text with the start code, computed in the sequence's first step. That step ends by
sampling the first audio code from the last latent. Every later step is a decode step: the last code goes
in, one position is added to the KV cache, one latent and one code come out.

Batching is continuous: `step` advances whatever sequences it is passed, so a sequence joins right after
`open` and leaves when it samples the stop code. Decodes run as one batch, prefills one sequence at a time.
On a GPU prefills share a batch, too: their positions are rows of the same products. There a sequence also
occupies a slot, a row in tables of fixed shape (slots.py), until `close`.

Batch-mates share only the weight products, whose rows are independent (linear.py), so on a CPU a sequence
gets the same codes and latents to the last bit whatever shares its steps.

The latents are collected while decoding: a code's latent is the state that it was sampled from. Stock
coqui-tts runs the whole model a second time to get them. They also allow `go_back` to resume from any
earlier code: it truncates the KV cache and samples from that code's stored latent, without a prefill.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from services.synth_worker.engines.xtts.decoder.linear import Precision
from services.synth_worker.engines.xtts.decoder.sampling import Noise, Sampling, choose, settings_of
from services.synth_worker.engines.xtts.decoder.slots import Row, Slots, to_device
from services.synth_worker.engines.xtts.decoder.transformer import (
    AudioModel,
    Memory,
    one_position_each,
    one_sentence,
)
from services.synth_worker.engines.xtts.decoder.transformer import (
    sentences as of_sentences,
)

# Hugging Face's repetition penalty also covers the placeholder ids of the prompt, which are all 1.
_PLACEHOLDER: Final = 1
_VOICE_POSITIONS: Final = 32
_PREPARED_TEXTS: Final = (1, 16, 64, 200)  # text ids
_PREFILL: Final = 2048  # positions of a batch of prefills, which limits its memory


@dataclass(eq=False)
class Decoding:
    """One sequence in flight. Created by `BatchDecoder.open`, advanced by `BatchDecoder.step`."""

    sampling: Sampling
    noise: Noise
    prompt: Tensor  # embedded text and start code, [positions, width]
    memory: Memory  # the KV cache: of the voice, then of the text and the codes
    penalty_mask: Tensor  # bool [codes]: the codes that the repetition penalty applies to
    slot: int | None = None  # index in the tables of a GPU
    started: int = 0  # positions in the KV cache before the first code
    codes: list[int] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)  # [width] each, one per code
    redrawn: Tensor | None = None  # after `go_back`: the latent to sample the next code from
    stopped: bool = False  # the last code is the stop code


class BatchDecoder:
    """The autoregressive half of one XTTS checkpoint."""

    def __init__(
        self, gpt: Any, precision: Precision, *, slots: int | None = None, record: bool = True
    ) -> None:
        """Pack the weights of a coqui `GPT` module, on its device.

        With `slots`, steps have a fixed shape, for at most that many sequences, as a GPU requires. Without
        it, each sequence has its own KV cache, which grows. `record` the steps as graphs, on a GPU.
        """
        self._gpt = gpt
        self._model = AudioModel(gpt, precision)
        self._capacity = gpt.max_prompt_tokens + gpt.max_text_tokens + gpt.max_mel_tokens
        self._slots = (
            None if slots is None else Slots(self._model, slots, self._capacity, record=record)
        )
        self.width: int = gpt.model_dim
        self.most_codes: int = gpt.max_gen_mel_tokens

    @torch.inference_mode()
    def voice_memory(self, latents: Tensor) -> Memory:
        """Return the KV cache of a voice's conditioning latents [1, positions, width]; once per voice."""
        memory = self._model.transformer.new_memory(latents.shape[1])
        self._remember(memory, latents[0].to(self._model.device))
        return memory

    @torch.inference_mode()
    def open(self, voice: Memory, text: Sequence[int], sampling: Sampling, seed: int) -> Decoding:
        """Begin a sentence with these text ids, which do not include start and stop."""
        prompt = self._prompt(text)
        if self._slots is None:
            slot, memory = None, self._model.transformer.new_memory(0)
            penalty_mask = torch.zeros(self._model.codes, dtype=torch.bool)
        else:
            slot, memory = self._slots.acquire(sampling)
            penalty_mask = self._slots.penalty_mask[slot]
        memory.continue_from(voice)
        sentence = Decoding(sampling, Noise(seed), prompt, memory, penalty_mask, slot)
        self._note(sentence)
        return sentence

    @torch.inference_mode()
    def step(self, sentences: Sequence[Decoding]) -> None:
        """Sample the next code and its latent for each sequence; none of them may have stopped."""
        fresh = [
            sentence for sentence in sentences if not sentence.codes or sentence.redrawn is not None
        ]
        underway = [
            sentence for sentence in sentences if sentence.codes and sentence.redrawn is None
        ]
        if underway:
            self._take(underway, *self._advance(underway))
        if fresh:
            self._take(fresh, *self._begin(fresh))

    def _begin(self, fresh: Sequence[Decoding]) -> tuple[Sequence[Tensor], list[int]]:
        """Return the latents [width] of new or rewound sequences, and the codes sampled from them."""
        if self._slots is None:
            latents = [self._first_latent(sentence) for sentence in fresh]
            codes = self._chosen(fresh, torch.stack(latents))
            for sentence, code in zip(fresh, codes, strict=True):
                sentence.penalty_mask[code] = True
            return latents, codes
        self._prefill([sentence for sentence in fresh if sentence.redrawn is None])
        first = [sentence.redrawn for sentence in fresh if sentence.redrawn is not None]
        for sentence in fresh:
            sentence.redrawn = None
        return self._slots.begin([self._row(sentence) for sentence in fresh], first)

    def _prefill(self, fresh: Sequence[Decoding]) -> None:
        """Compute the prompts of new sequences, many at once; `redrawn` is then the last latent of each."""
        waiting = list(fresh)
        while waiting:
            group = [waiting.pop(0)]
            while waiting and sum(len(one.prompt) for one in (*group, waiting[0])) <= _PREFILL:
                group.append(waiting.pop(0))
            counts = [len(sentence.prompt) for sentence in group]
            attend = of_sentences([sentence.memory for sentence in group], counts)
            prompts = torch.cat([sentence.prompt for sentence in group])
            latents = self._model.transformer(prompts, attend).split_with_sizes(counts)
            for sentence, own in zip(group, latents, strict=True):
                sentence.memory.advance(len(sentence.prompt))
                sentence.started = sentence.memory.length
                sentence.redrawn = own[-1]

    @torch.inference_mode()
    def prepare(self) -> None:
        """Run everything once that a GPU loads or records at its first use; no sequence may be in flight."""
        if self._slots is None:
            return
        self._slots.prepare()
        voice = self.voice_memory(torch.zeros((1, _VOICE_POSITIONS, self.width)))
        for length in _PREPARED_TEXTS:
            sequence = self.open(voice, [_PLACEHOLDER] * length, Sampling(), seed=0)
            for _ in range(2):
                if not sequence.stopped:
                    self.step([sequence])
            self.close(sequence)

    @torch.inference_mode()
    def go_back(self, sentence: Decoding, codes: int, seed: int) -> None:
        """Drop all but the first `codes` codes, and resume from there with the noise of a new seed."""
        sentence.redrawn = sentence.latents[codes]
        sentence.codes, sentence.latents = sentence.codes[:codes], sentence.latents[:codes]
        sentence.memory.forget(sentence.started + codes)
        sentence.noise = Noise(seed)
        sentence.stopped = False
        self._note(sentence)

    @torch.inference_mode()
    def review(
        self, voice: Memory, text: Sequence[int], codes: Sequence[int]
    ) -> tuple[Tensor, list[int]]:
        """Return the latents [codes, width] of given codes, and the likeliest code at each index."""
        memory = self._model.transformer.new_memory(0)
        memory.continue_from(voice)
        latents = self._remember(
            memory, torch.cat([self._prompt(text), self._model.embedded(codes[:-1])])
        )
        latents = latents[-len(codes) :]
        return latents, self._model.scores(latents).argmax(-1).tolist()

    def close(self, sentence: Decoding) -> None:
        """Release the slot of a sequence, whether it has stopped or not."""
        if self._slots is not None and sentence.slot is not None:
            self._slots.release(sentence.slot)
            sentence.slot = None

    def _note(self, sentence: Decoding) -> None:
        penalized = torch.tensor([_PLACEHOLDER, self._gpt.start_audio_token, *sentence.codes])
        mask = sentence.penalty_mask
        mask.zero_().index_fill_(0, to_device(penalized, mask.device), 1)

    def _prompt(self, text: Sequence[int]) -> Tensor:
        gpt = self._gpt
        ids = to_device(
            torch.tensor([gpt.start_text_token, *text, gpt.stop_text_token]), self._model.device
        )
        words = (
            functional.embedding(ids, gpt.text_embedding.weight)
            + gpt.text_pos_embedding.emb.weight[: len(ids)]
        )
        start = (
            gpt.mel_embedding.weight[gpt.start_audio_token] + gpt.mel_pos_embedding.emb.weight[0]
        )
        return torch.cat([words, start.unsqueeze(0)])

    def _first_latent(self, sentence: Decoding) -> Tensor:
        """Return the latent [width] that a new or rewound sequence samples its next code from."""
        if sentence.redrawn is not None:
            latent, sentence.redrawn = sentence.redrawn, None
            return latent
        latents = self._remember(sentence.memory, sentence.prompt)
        sentence.started = sentence.memory.length
        return latents[-1]

    def _row(self, sentence: Decoding) -> Row:
        """Return the input of a sequence that has a slot."""
        if sentence.slot is None:
            raise ValueError("the sequence was closed")
        last = sentence.codes[-1] if sentence.codes else 0
        noise = sentence.noise.draw(self._model.codes)
        return Row(sentence.slot, last, len(sentence.codes), noise)

    def _advance(self, sentences: Sequence[Decoding]) -> tuple[Sequence[Tensor], list[int]]:
        """Feed each sequence its last code; return the latents [sentences, width] and the next codes."""
        if self._slots is not None:
            return self._slots.advance([self._row(sentence) for sentence in sentences])
        codes = torch.tensor([sentence.codes[-1] for sentence in sentences])
        code_positions = torch.tensor([len(sentence.codes) for sentence in sentences])
        memories = [sentence.memory for sentence in sentences]
        for memory in memories:
            memory.reserve(1)
        latents = self._model.next_latents(codes, code_positions, one_position_each(memories))
        for memory in memories:
            memory.advance(1)
        chosen = self._chosen(sentences, latents)
        for sentence, code in zip(sentences, chosen, strict=True):
            sentence.penalty_mask[code] = True
        return latents.unbind(0), chosen

    def _chosen(self, sentences: Sequence[Decoding], latents: Tensor) -> list[int]:
        device = self._model.device
        noise = torch.stack([sentence.noise.draw(self._model.codes) for sentence in sentences]).to(
            device
        )
        penalty_mask = torch.stack([sentence.penalty_mask for sentence in sentences])
        settings = settings_of([sentence.sampling for sentence in sentences], device)
        codes: list[int] = choose(
            self._model.scores(latents), penalty_mask, noise, settings
        ).tolist()
        return codes

    def _take(
        self, sentences: Sequence[Decoding], latents: Sequence[Tensor], codes: Sequence[int]
    ) -> None:
        for sentence, code, latent in zip(sentences, codes, latents, strict=True):
            sentence.codes.append(code)
            sentence.latents.append(latent)
            sentence.stopped = code == self._gpt.stop_audio_token

    def _remember(self, memory: Memory, positions: Tensor) -> Tensor:
        memory.reserve(len(positions))
        latents = self._model.transformer(positions, one_sentence(memory, len(positions)))
        memory.advance(len(positions))
        return latents
