"""Samples the next audio code from scores, for many rows, each with its own settings and noise.

The arithmetic is that of Hugging Face's processors in their order - repetition penalty (Keskar et al.,
"CTRL", 2019), temperature, top-k, top-p (Holtzman et al., "The curious case of neural text
degeneration", 2020) - and a draw by exponential noise as in torch.multinomial, so a row with seed s
draws what stock coqui-tts draws after torch.manual_seed(s), whatever rows share its batch. Noise is
always generated on the CPU, so a GPU that computes the same scores samples the same codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

_NO_LIMIT: Final = 2**31


@dataclass(frozen=True)
class Sampling:
    """The sampling settings of one sentence. The defaults are those of the released configuration."""

    temperature: float = 0.75
    top_k: int = 50  # 0: no limit
    top_p: float = 0.85
    repetition_penalty: float = 5.0
    greedy: bool = False  # choose the likeliest code, after the repetition penalty


class Noise:
    """The random numbers of one sentence."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self, codes: int) -> Tensor:
        """Return exponential noise, float32 [codes]."""
        return torch.empty(codes).exponential_(generator=self._generator)


@dataclass(frozen=True, eq=False)
class SamplingSettings:
    """The sampling settings of a batch, as columns [rows, 1]."""

    temperature: Tensor
    top_k: Tensor  # int64, 1 or more
    beyond_top_p: Tensor
    repetition_penalty: Tensor
    greedy: Tensor  # bool [rows]


def controls_of(rows: Sequence[Sampling]) -> Tensor:
    """Return settings as a table, float32 [rows, 5], in the order of `SamplingSettings`."""
    return torch.tensor(
        [
            [
                row.temperature,
                row.top_k or _NO_LIMIT,
                1 - row.top_p,
                row.repetition_penalty,
                row.greedy,
            ]
            for row in rows
        ],
        dtype=torch.float32,
    )


def settings_of(rows: Sequence[Sampling], device: torch.device) -> SamplingSettings:
    """Return the settings of these rows as columns."""

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device).unsqueeze(1)

    return SamplingSettings(
        temperature=column([row.temperature for row in rows]),
        top_k=torch.tensor([[row.top_k or _NO_LIMIT] for row in rows], device=device),
        beyond_top_p=column([1 - row.top_p for row in rows]),
        repetition_penalty=column([row.repetition_penalty for row in rows]),
        greedy=torch.tensor([row.greedy for row in rows], device=device),
    )


def choose(
    scores: Tensor, penalty_mask: Tensor, noise: Tensor, settings: SamplingSettings
) -> Tensor:
    """Return the next codes, int64 [rows].

    `scores` float32 [rows, codes]; `penalty_mask` bool of the same shape, the codes that the penalty applies to;
    `noise` of the same shape, exponential.
    """
    penalised = torch.where(
        scores < 0, scores * settings.repetition_penalty, scores / settings.repetition_penalty
    )
    scores = torch.where(penalty_mask, penalised, scores)
    likeliest = scores.argmax(-1)
    scores = scores / settings.temperature
    descending = scores.sort(-1, descending=True).values
    least = descending.gather(-1, settings.top_k.clamp(max=scores.shape[-1]) - 1)
    scores = scores.masked_fill(scores < least, -torch.inf)
    ascending, order = scores.sort(-1)
    unlikely = ascending.softmax(-1).cumsum(-1) <= settings.beyond_top_p
    unlikely[:, -1] = False
    scores = scores.masked_fill(unlikely.scatter(-1, order, unlikely), -torch.inf)
    return torch.where(settings.greedy, likeliest, (scores.softmax(-1) / noise).argmax(-1))
