"""Packed matrix products against plain ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from services.synth_worker.engines.xtts.linear import Activation, Precision, pack

SHAPES = [(48, 64), (192, 64), (1024, 1024), (1024, 4096), (1026, 1024)]
TOLERANCES: dict[Precision, float] = {"float32": 1e-6, "bfloat16": 5e-3, "int8": 1.5e-2}


def weights(outputs: int, inputs: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(outputs + inputs)
    weight = torch.randn((outputs, inputs), generator=generator) * inputs**-0.5
    return weight, torch.randn(outputs, generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ["none", "gelu"])
@pytest.mark.parametrize("precision", TOLERANCES)
def test_a_packed_product_is_the_plain_one_within_its_precision(
    shape: tuple[int, int], activation: Activation, precision: Precision
) -> None:
    weight, bias = weights(*shape)
    x = torch.randn((7, shape[1]), generator=torch.Generator().manual_seed(1))
    plain = torch.nn.functional.linear(x, weight, bias)
    wanted = torch.nn.functional.gelu(plain, approximate="tanh") if activation == "gelu" else plain
    turned = weight.t().contiguous().t()  # as GPT-2 keeps its weights
    for stored in (weight, turned):
        found = pack(stored, bias, precision, activation)(x).float()
        assert torch.linalg.norm(found - wanted) <= TOLERANCES[precision] * torch.linalg.norm(wanted)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("precision", TOLERANCES)
def test_a_row_is_the_same_to_the_last_bit_whatever_rows_share_its_batch(
    shape: tuple[int, int], precision: Precision
) -> None:
    packed = pack(*weights(*shape), precision)
    rows = torch.randn((64, shape[1]), generator=torch.Generator().manual_seed(2))
    together = packed(rows)
    for count in (1, 2, 3, 5, 8, 16, 33):
        apart = torch.cat([packed(part) for part in rows.split(count)])
        assert torch.equal(apart, together), f"{count} at a time"


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(0, 15))
def test_in_int8_a_loud_row_does_not_coarsen_a_quiet_one(loudness: float, place: int) -> None:
    packed = pack(*weights(48, 64), "int8")
    rows = torch.randn((16, 64), generator=torch.Generator().manual_seed(3))
    alone = packed(rows)
    rows[place] *= loudness
    others = [row for row in range(16) if row != place]
    assert torch.equal(packed(rows)[others], alone[others])
