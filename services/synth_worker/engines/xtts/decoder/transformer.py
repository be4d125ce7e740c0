"""The GPT-2 blocks of XTTS, over packed weights, for rows of many sequences at once.

The stack has no notion of sequences: `attend` defines, for each layer, what each row can attend to.
Sequences of any length share a step because only attention depends on lengths, and it handles each row
separately.

Radford et al., "Language models are unsupervised multitask learners" (2019), with the pre-norm blocks and
the GELU approximation of GPT-2; XTTS adds a second norm, `final_norm`, after the stack's own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from services.synth_worker.engines.xtts.decoder.linear import Linear, Precision, pack

Attend = Callable[
    [int, Tensor], Tensor
]  # layer, [rows, 3 * width] queries, keys and values -> [rows, width]

_BLOCK: Final = 128  # positions by which a KV cache grows


@dataclass(frozen=True, eq=False)
class _Norm:
    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, eq=False)
class _Block:
    before_attention: _Norm
    attention: Linear  # width -> 3 * width
    projection: Linear
    before_mlp: _Norm
    expansion: Linear  # with GELU
    contraction: Linear


class Transformer:
    """The stack of a coqui `GPT` module, packed."""

    def __init__(self, gpt: Any, precision: Precision) -> None:  # an untyped module of coqui-tts
        self.width: int = gpt.model_dim
        self._memory_shape = (len(gpt.gpt.h), 2, gpt.heads, 0, gpt.model_dim // gpt.heads)
        self._memory_type = torch.float32 if precision == "float32" else torch.bfloat16
        self._blocks = [_packed(block, precision) for block in gpt.gpt.h]
        self._last_norms = (_norm(gpt.gpt.ln_f), _norm(gpt.final_norm))

    def new_memory(self, capacity: int) -> "Memory":
        """Return an empty KV cache for `capacity` positions, on the device of the weights."""
        layers, two, heads, _, head = self._memory_shape
        device = self._last_norms[0].weight.device
        return Memory(
            torch.zeros(
                (layers, two, heads, capacity, head), dtype=self._memory_type, device=device
            )
        )

    def __call__(self, x: Tensor, attend: Attend) -> Tensor:
        """Return the latents, float32 [rows, width], of embedded inputs, float32 [rows, width]."""
        for layer, block in enumerate(self._blocks):
            x = x + block.projection(attend(layer, block.attention(block.before_attention(x))))
            x = x + block.contraction(block.expansion(block.before_mlp(x)))
        for norm in self._last_norms:
            x = norm(x)
        return x


class AudioModel:
    """The transformer with the input and output layers for audio codes."""

    def __init__(self, gpt: Any, precision: Precision) -> None:  # an untyped module of coqui-tts
        self.transformer = Transformer(gpt, precision)
        self.codes: int = gpt.num_audio_tokens
        self.device: torch.device = gpt.mel_head.weight.device
        self._code_embedding = gpt.mel_embedding.weight.detach()
        self._position_embedding = gpt.mel_pos_embedding.emb.weight.detach()
        self._head = pack(gpt.mel_head.weight.detach(), gpt.mel_head.bias.detach(), "float32")

    def embedded(self, codes: Sequence[int]) -> Tensor:
        """Return the input embeddings of the first codes of a sentence, float32 [codes, width]."""
        ids = torch.tensor(codes, dtype=torch.int64, device=self.device)
        embedded: Tensor = (
            functional.embedding(ids, self._code_embedding)
            + self._position_embedding[1 : len(codes) + 1]
        )
        return embedded

    def next_latents(self, codes: Tensor, code_positions: Tensor, attend: Attend) -> Tensor:
        """Return the latents [rows, width] after each row's last code; `codes` and
        `code_positions` are int64 [rows]."""
        embedded = functional.embedding(codes, self._code_embedding)
        return self.transformer(
            embedded + functional.embedding(code_positions, self._position_embedding), attend
        )

    def scores(self, latents: Tensor) -> Tensor:
        """Return how likely each code is to come next, float32 [rows, codes], before any sampling."""
        return self._head(latents)


def _packed(block: Any, precision: Precision) -> _Block:
    def linear(
        conv: Any, activation: Any = "none"
    ) -> Linear:  # GPT-2 stores weights as [inputs, outputs]
        return pack(conv.weight.detach().t(), conv.bias.detach(), precision, activation)

    return _Block(
        before_attention=_norm(block.ln_1),
        attention=linear(block.attn.c_attn),
        projection=linear(block.attn.c_proj),
        before_mlp=_norm(block.ln_2),
        expansion=linear(block.mlp.c_fc, "gelu"),
        contraction=linear(block.mlp.c_proj),
    )


def _norm(module: Any) -> _Norm:
    return _Norm(module.weight.detach().clone(), module.bias.detach().clone(), module.eps)


class Memory:
    """The KV cache of one sequence: the keys and values that its next positions attend to."""

    def __init__(self, kept: Tensor) -> None:
        """Start empty, over a buffer [layers, 2 (keys, values), heads, positions, head size]."""
        self.length = 0  # positions that are filled
        self._kept = kept
        self._layers = kept.unbind(0)

    @property
    def tensor(self) -> Tensor:
        """Return keys and values, [layers, 2, heads, capacity, head size]."""
        return self._kept

    def reserve(self, positions: int) -> None:
        """Ensure capacity for `positions` more positions."""
        needed = self.length + positions
        if needed <= self._kept.shape[3]:
            return
        layers, two, heads, _, head = self._kept.shape
        grown = self._kept.new_zeros((layers, two, heads, -(-needed // _BLOCK) * _BLOCK, head))
        grown[:, :, :, : self.length] = self._kept[:, :, :, : self.length]
        self._kept = grown
        self._layers = grown.unbind(0)

    def continue_from(self, other: "Memory") -> None:
        """Copy another cache's content; the two diverge from here on."""
        self.length = 0
        self.reserve(other.length)
        self._kept[:, :, :, : other.length] = other.tensor[:, :, :, : other.length]
        self.length = other.length

    def attend(self, layer: int, mixed: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the attention of new positions, [positions, width], over the cache, earlier new ones and itself.

        `mixed` is [positions, 3 * width]: queries, keys, values; `mask` is that of `causal`, for several positions.
        Call `advance` once all layers are done.
        """
        kept = self._layers[layer]
        _, heads, _, head = kept.shape
        new, end = len(mixed), self.length + len(mixed)
        queries, keys_and_values = (
            mixed.to(kept.dtype).view(new, 3, heads, head).permute(1, 2, 0, 3).split((1, 2))
        )
        kept[:, :, self.length : end] = keys_and_values
        if new == 1 and kept.dtype == torch.bfloat16:
            return _look(queries[0], kept[0], kept[1], end).view(1, heads * head)
        keys, values = kept[:, :, :end]
        seen = functional.scaled_dot_product_attention(
            queries, keys[None], values[None], attn_mask=mask
        )[0]
        return seen.transpose(0, 1).reshape(new, heads * head)

    def advance(self, positions: int) -> None:
        """Append `positions` that were written to the cache's content."""
        self.length += positions

    def forget(self, length: int) -> None:
        """Truncate the cache to `length` positions."""
        self.length = length

    def causal(self, new: int) -> Tensor | None:
        """Return which positions each of `new` ones can attend to, bool [new, positions]; None: all."""
        if new == 1:
            return None
        end = self.length + new
        ones = torch.ones((new, end), dtype=torch.bool, device=self._kept.device)
        return ones.tril_(end - new)


def _look(query: Tensor, keys: Tensor, values: Tensor, end: int) -> Tensor:
    """Return the attention of one position over the first `end` positions, [heads, 1, head size].

    In bfloat16 these products take half the time of the fused kernel, which is made for long queries. They
    run over the whole capacity, because a slice would be copied first; positions after the end get weight 0.
    """
    scores = (
        torch.bmm(keys, query.transpose(1, 2)).squeeze(-1).float().mul_(query.shape[-1] ** -0.5)
    )
    scores[:, end:] = -torch.inf
    return torch.bmm(scores.softmax(-1).to(values.dtype).unsqueeze(1), values)


def one_sentence(memory: Memory, rows: int) -> Attend:
    """Treat the rows as new positions of one sequence."""
    return sentences([memory], [rows])


def sentences(memories: Sequence[Memory], counts: Sequence[int]) -> Attend:
    """Treat the rows as new positions of several sequences: the first `counts[0]` of the first one, and so on."""
    masks = [memory.causal(count) for memory, count in zip(memories, counts, strict=True)]

    def attend(layer: int, mixed: Tensor) -> Tensor:
        parts = mixed.split_with_sizes(list(counts))
        seen = [
            memory.attend(layer, part, mask)
            for memory, part, mask in zip(memories, parts, masks, strict=True)
        ]
        return seen[0] if len(seen) == 1 else torch.cat(seen)

    return attend


def one_position_each(memories: Sequence[Memory]) -> Attend:
    """Treat each row as the next position of a different sequence."""

    def attend(layer: int, mixed: Tensor) -> Tensor:
        rows = mixed.split(1)
        return torch.cat(
            [memory.attend(layer, row) for memory, row in zip(memories, rows, strict=True)]
        )

    return attend
