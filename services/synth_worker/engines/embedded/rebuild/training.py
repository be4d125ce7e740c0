"""Training of the tuner's network, with torch; one minute on one core."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from services.common.audio.spectra import Floats

MEMBERS: Final = 3
_HIDDEN: Final = 48
_EPOCHS: Final = 160
_BATCH: Final = 32
_DROPOUT: Final = 0.4
_INPUT_NOISE: Final = 0.15
_LEARNING_RATE: Final = 2e-3
_WEIGHT_DECAY: Final = 0.5
_SEED: Final = 7


@dataclass(frozen=True, eq=False)
class Pairs:
    """Training pairs: `inputs` [n, 57] (see tuner_inputs) and unit `embeddings` [n, 256]."""

    inputs: Floats
    embeddings: Floats


class Member(nn.Module):
    """One network of the ensemble: a straight line plus two hidden layers with GELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        sizes = (inputs, _HIDDEN, _HIDDEN, outputs)
        self.layers = nn.ModuleList([nn.Linear(*pair) for pair in pairwise(sizes)])

    def forward(self, inputs: Tensor) -> Tensor:
        """Predict embeddings of length 1."""
        first, second, last = self.layers
        hidden = functional.dropout(functional.gelu(first(inputs)), _DROPOUT, self.training)
        hidden = functional.dropout(functional.gelu(second(hidden)), _DROPOUT, self.training)
        return functional.normalize(last(hidden) + self.linear(inputs), dim=-1)


def trained_arrays(pairs: Pairs) -> dict[str, Floats]:
    """Train the ensemble: the arrays that Tuner.from_arrays reads."""
    torch.manual_seed(_SEED)
    torch.set_num_threads(1)
    members = [_trained(pairs) for _ in range(MEMBERS)]
    arrays = {"linear": np.stack([_array(member.linear.weight).T for member in members])}
    for layer in range(3):
        chosen = [cast("nn.Linear", member.layers[layer]) for member in members]
        arrays[f"weight.{layer}"] = np.stack([_array(one.weight).T for one in chosen])
        arrays[f"bias.{layer}"] = np.stack([_array(one.bias) for one in chosen])
    return arrays


def _trained(pairs: Pairs) -> Member:
    inputs, embeddings = torch.from_numpy(pairs.inputs), torch.from_numpy(pairs.embeddings)
    member = Member(inputs.shape[1], embeddings.shape[1])
    optimizer = torch.optim.AdamW(
        member.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY
    )
    steps = _EPOCHS * -(-len(inputs) // _BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(_EPOCHS):
        for chosen in torch.randperm(len(inputs)).split(_BATCH):
            noisy = inputs[chosen] + _INPUT_NOISE * torch.randn_like(inputs[chosen])
            loss = 1 - (member(noisy) * embeddings[chosen]).sum(dim=-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    member.eval()
    return member


def _array(parameter: Tensor) -> Floats:
    values: Floats = parameter.detach().numpy().astype(np.float32)
    return values
