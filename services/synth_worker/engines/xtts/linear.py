"""Matrix products of the decoder, prepacked for the machine that they run on.

A decode step multiplies a few rows by every weight of the model, so its time is the time to read the weights: they are
reordered once for oneDNN, and kept in bfloat16 or int8 where that is asked for.

Every row's result is the same to the last bit whatever rows share its batch. That is a property of the kernels used
here, held by tests/unit: oneDNN sums over the inputs in one order for two rows or more, so a lone row is given company.
"""

import ctypes
from collections.abc import Callable
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional

Precision = Literal["float32", "bfloat16", "int8"]
Activation = Literal["none", "gelu"]
Linear = Callable[[Tensor], Tensor]  # float32 or `operand` type [rows, inputs] -> float32 or bfloat16 [rows, outputs]

_ZERO_POINT: Final = 128  # int8 rows are moved into 0..255


def pack(weight: Tensor, bias: Tensor, precision: Precision, activation: Activation = "none") -> Linear:
    """Return `activation(x @ weight.T + bias)` as a function of x; `gelu` is the tanh approximation, as GPT-2 has it.

    `weight` is float32 [outputs, inputs], `bias` [outputs]; on a GPU they stay there and `int8` means bfloat16.
    """
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return _Plain(weight, bias, torch.float32 if precision == "float32" else torch.bfloat16, activation)
    if precision == "int8":
        return _Int8(weight, bias, activation)
    return _Packed(weight, bias, torch.float32 if precision == "float32" else torch.bfloat16, activation)


def give_back_freed_memory() -> None:
    """Return to the system what packing has freed: glibc keeps hundreds of MiB of it for a later that never comes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Plain:
    """For a GPU, and for a processor without oneDNN."""

    def __init__(self, weight: Tensor, bias: Tensor, operand: torch.dtype, activation: Activation) -> None:
        self._weight, self._bias = weight.to(operand), bias.to(operand)
        self._activation = activation

    def __call__(self, x: Tensor) -> Tensor:
        y = functional.linear(x.to(self._weight.dtype), self._weight, self._bias)
        return functional.gelu(y, approximate="tanh") if self._activation == "gelu" else y


class _Packed:
    """Weights in the order in which oneDNN reads them, float32 or bfloat16."""

    def __init__(self, weight: Tensor, bias: Tensor, operand: torch.dtype, activation: Activation) -> None:
        self._operand = operand
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(operand).contiguous(), None)  # noqa: SLF001  # torch.compile's own entry
        self._bias = bias.to(operand)
        self._activation = activation

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.shape[0]
        x = x.to(self._operand)
        company = x.expand(2, -1).contiguous() if rows == 1 else x
        y: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            company, self._weight, self._bias, self._activation, [], "tanh" if self._activation == "gelu" else ""
        )
        return y[:rows]


class _Int8:
    """Weights in int8 with a scale for each output; each row of inputs is rounded to int8 by its own largest value.

    A scale for each row, not for the batch as in dynamic quantisation elsewhere, so that rows stay independent.
    """

    def __init__(self, weight: Tensor, bias: Tensor, activation: Activation) -> None:
        self._scale = (weight.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
        rounded = (weight / self._scale[:, None]).round().clamp(-127, 127).to(torch.int8).contiguous()
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, None)
        self._zero_points = torch.zeros(len(weight), dtype=torch.int64)
        self._bias = bias.float()
        self._activation = activation

    def __call__(self, x: Tensor) -> Tensor:
        x = x.float()
        scale = (x.abs().amax(1, keepdim=True) / 127).clamp_min(torch.finfo(torch.float32).tiny)
        rounded = torch.round(x / scale).add_(_ZERO_POINT).to(torch.uint8)
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            rounded, 1.0, _ZERO_POINT, self._weight, self._scale, self._zero_points, None, 1.0, 0, torch.float32,
            "none", [], "",
        )  # fmt: skip
        y = torch.addcmul(self._bias, y, scale)
        return functional.gelu(y, approximate="tanh") if self._activation == "gelu" else y
