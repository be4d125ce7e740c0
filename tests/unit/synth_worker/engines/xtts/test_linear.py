"""Packed matrix products against plain ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from services.synth_worker.engines.xtts.decoder import linear
from services.synth_worker.engines.xtts.decoder.linear import Activation, Precision, pack

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
        assert torch.linalg.norm(found - wanted) <= TOLERANCES[precision] * torch.linalg.norm(
            wanted
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("precision", TOLERANCES)
def test_a_row_is_the_same_to_the_last_bit_whatever_rows_share_its_batch(
    shape: tuple[int, int], precision: Precision
) -> None:
    compare_apart_with_together(pack(*weights(*shape), precision), shape[1])


def compare_apart_with_together(packed: linear.Linear, inputs: int) -> None:
    rows = torch.randn((64, inputs), generator=torch.Generator().manual_seed(2))
    together = packed(rows)
    for count in (1, 2, 3, 5, 8, 16, 33):
        apart = torch.cat([packed(part) for part in rows.split(count)])
        assert torch.equal(apart, together), f"{count} at a time"


@pytest.mark.skipif(
    not linear.multiplies_bfloat16(), reason="there are no tiles where there is no bfloat16"
)
@pytest.mark.parametrize("shape", SHAPES)
def test_where_a_processor_multiplies_tiles_every_product_has_the_same_number_of_rows(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplied: list[int] = []
    multiply = linear._Packed._multiply

    def noting(packed: linear._Packed, x: Tensor) -> Tensor:
        multiplied.append(len(x))
        return multiply(packed, x)

    monkeypatch.setattr(linear, "_has_tiles", lambda: True)
    monkeypatch.setattr(linear._Packed, "_multiply", noting)
    compare_apart_with_together(pack(*weights(*shape), "bfloat16"), shape[1])
    assert set(multiplied) == {32}


def test_where_a_processor_has_no_bfloat16_products_are_those_of_rounded_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(linear, "multiplies_bfloat16", lambda: False)
    weight, bias = weights(192, 64)
    x = torch.randn((7, 64), generator=torch.Generator().manual_seed(1))
    found = pack(weight, bias, "bfloat16")(x)
    wanted = torch.nn.functional.linear(
        x.bfloat16().double(), weight.bfloat16().double(), bias.bfloat16().double()
    )
    assert found.dtype == torch.bfloat16
    # rounded once, at the end
    torch.testing.assert_close(found.double(), wanted, rtol=2**-8, atol=1e-5)


@pytest.mark.parametrize("exact", [True, False])
def test_in_int8_no_sum_of_two_products_leaves_what_the_processor_adds_in(
    exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if exact and not linear._adds_in_32_bits():
        pytest.skip("this processor adds in 16 bits")
    monkeypatch.setattr(linear, "_adds_in_32_bits", lambda: exact)
    weight = torch.ones((48, 64))  # the largest numbers everywhere
    found = pack(weight, torch.zeros(48), "int8")(torch.ones((3, 64)))
    torch.testing.assert_close(found, torch.full((3, 48), 64.0))


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(0, 15))
def test_in_int8_a_loud_row_does_not_coarsen_a_quiet_one(loudness: float, place: int) -> None:
    packed = pack(*weights(48, 64), "int8")
    rows = torch.randn((16, 64), generator=torch.Generator().manual_seed(3))
    alone = packed(rows)
    rows[place] *= loudness
    others = [row for row in range(16) if row != place]
    assert torch.equal(packed(rows)[others], alone[others])
