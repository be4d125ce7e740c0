"""Matrix products of the decoder, prepacked for the machine that they run on.

A decode step multiplies a few rows by every weight of the model, so it takes as long as reading the
weights: they are reordered once for oneDNN, and stored in bfloat16 or int8 where that is configured.

Each row's result is the same to the last bit whatever rows share its batch, on every processor, so a
redelivered sentence gets the same codes. How oneDNN splits a sum over the inputs can depend on the number
of rows, so that number must not matter. Its AVX-512 and AVX2 kernels split the sum in one way for two
rows or more, so a single row is padded. Its kernels for matrix tiles (AMX, in bfloat16) do so only up to
32 rows, and not for every number of threads; there every product has exactly 32 rows, zero-padded, so
that one kernel computes them all. That should cost little, as a product of few rows takes the time in
which its weights are read.

A processor that lacks an operation gets the same numbers in another way: values are rounded to bfloat16
and multiplied in float32 where bfloat16 products are missing, and int8 rounds inputs to 7 bits where
sums of two products saturate at 16 bits.
"""

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

Precision = Literal["float32", "bfloat16", "int8"]
Activation = Literal["none", "gelu"]
Linear = Callable[
    [Tensor], Tensor
]  # float32 or `operand` type [rows, inputs] -> float32 or bfloat16 [rows, outputs]

# rows of every tiled product; tiles have 16 rows and are multiplied in pairs
_TILED_ROWS: Final = 32


def pack(
    weight: Tensor, bias: Tensor, precision: Precision, activation: Activation = "none"
) -> Linear:
    """Return `activation(x @ weight.T + bias)` as a function of x; `gelu` is GPT-2's tanh approximation.

    `weight` is float32 [outputs, inputs], `bias` [outputs]; on a GPU they stay there and `int8` means
    bfloat16.
    """
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return _Plain(
            weight, bias, torch.float32 if precision == "float32" else torch.bfloat16, activation
        )
    if precision == "int8":
        return _Int8(weight, bias, activation)
    if precision == "float32":
        return _Packed(weight, bias, torch.float32, activation)
    if not multiplies_bfloat16():
        return _Rounded(weight, bias, activation)
    return _Packed(
        weight, bias, torch.bfloat16, activation, rows=_TILED_ROWS if _has_tiles() else None
    )


def multiplies_bfloat16() -> bool:
    """Return whether oneDNN supports bfloat16 products; needs AVX-512, or AVX2 with conversions from it."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


def _has_tiles() -> bool:
    """Return whether the processor multiplies matrix tiles."""
    return torch.cpu._is_amx_tile_supported()  # noqa: SLF001


def give_back_freed_memory() -> None:
    """Return memory freed by packing to the system; glibc would retain hundreds of MiB of it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Plain:
    """Unpacked weights, for a GPU and for a processor without oneDNN."""

    def __init__(
        self, weight: Tensor, bias: Tensor, operand: torch.dtype, activation: Activation
    ) -> None:
        self._weight, self._bias = weight.to(operand), bias.to(operand)
        self._activation = activation

    def __call__(self, x: Tensor) -> Tensor:
        y = functional.linear(x.to(self._weight.dtype), self._weight, self._bias)
        return functional.gelu(y, approximate="tanh") if self._activation == "gelu" else y


class _Packed:
    """Weights in the order in which oneDNN reads them, float32 or bfloat16."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        operand: torch.dtype,
        activation: Activation,
        rows: int | None = None,
    ) -> None:
        """Pack the weights; with `rows`, every product has that many rows, else two or more."""
        self._operand = operand
        reorder = torch.ops.mkldnn._reorder_linear_weight  # noqa: SLF001  # torch.compile's own entry
        self._weight = reorder(weight.to(operand).contiguous(), None)
        self._bias = bias.to(operand)
        self._activation = activation
        self._rows = rows

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.shape[0]
        missing = rows == 1 if self._rows is None else -rows % self._rows
        x = x.to(self._operand)
        filled = functional.pad(x, (0, 0, 0, missing)) if missing else x
        parts = [self._multiply(part) for part in filled.split(self._rows or sys.maxsize)]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        return whole[:rows]

    def _multiply(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            x,
            self._weight,
            self._bias,
            self._activation,
            [],
            "tanh" if self._activation == "gelu" else "",
        )
        return y


class _Rounded:
    """A substitute where bfloat16 products are missing: rounded to bfloat16, multiplied in float32."""

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation) -> None:
        self._multiply = _Packed(
            weight.bfloat16().float(), bias.bfloat16().float(), torch.float32, activation
        )

    def __call__(self, x: Tensor) -> Tensor:
        return self._multiply(x.bfloat16().float()).bfloat16()


class _Int8:
    """Weights in int8 with a scale per output; each row of inputs is rounded to int8 by its largest value.

    The scale is per row, not per batch as in other dynamic quantization, so rows stay independent.
    """

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation) -> None:
        self._scale = (weight.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
        rounded = (
            (weight / self._scale[:, None]).round().clamp(-127, 127).to(torch.int8).contiguous()
        )
        self._multiply = _product_in_8_bits(
            rounded, self._scale, zero_point := 128 if _adds_in_32_bits() else 64
        )
        # shifts inputs from -127..127 to 1..255, or from -63..63 to 1..127
        self._zero_point = zero_point
        self._bias = bias.float()
        self._activation = activation

    def __call__(self, x: Tensor) -> Tensor:
        x = x.float()
        largest = self._zero_point - 1
        scale = (x.abs().amax(1, keepdim=True) / largest).clamp_min(torch.finfo(torch.float32).tiny)
        rounded = torch.round(x / scale).add_(self._zero_point).to(torch.uint8)
        y = torch.addcmul(self._bias, self._multiply(rounded), scale)
        return functional.gelu(y, approximate="tanh") if self._activation == "gelu" else y


def _product_in_8_bits(weight: Tensor, scale: Tensor, zero_point: int) -> Linear:
    """Return (x - zero_point) @ weight.T * scale as a function of x, uint8; `weight` is int8 [outputs, inputs]."""
    packed = torch.ops.onednn.qlinear_prepack(weight, None)
    zero_points = torch.zeros(len(weight), dtype=torch.int64)

    def multiply(x: Tensor) -> Tensor:
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            x,
            1.0,
            zero_point,
            packed,
            scale,
            zero_points,
            None,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        return y

    return multiply


@functools.cache
def _adds_in_32_bits() -> bool:
    """Return whether sums of 8-bit products are exact; without VNNI, pairs are added in 16 bits and saturate."""
    size, largest = 64, 127
    weight = torch.full((size, size), largest, dtype=torch.int8)
    multiply = _product_in_8_bits(weight, torch.ones(size), zero_point=0)
    return bool(
        (multiply(torch.full((2, size), 255, dtype=torch.uint8)) == size * 255 * largest).all()
    )
