"""The vocoder's layers as streams: each retains the rows that it still needs, so none is computed twice.

A convolution of width k needs (k - 1) / 2 more rows than it emits, so its output lags; rows that are added
to its output wait until it arrives. The zeros that stock pads both ends with are a layer's initial
history, and its last input.

Rows are [streams, time, channels], and lie in memory in that order: the next ones are appended without
rearranging, and oneDNN and cuDNN multiply contiguous channels faster than stock's layout.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from services.synth_worker.engines.xtts.decoder.linear import multiplies_bfloat16

SLOPE: Final = 0.1  # of the leaky ReLUs


@dataclass(eq=False)
class ChunkState:
    """One chunk on its way through the layers, which consume and refill their history in run order."""

    kept: list[
        Tensor
    ]  # [streams, n, channels]: the history before, of layers and of rows to be added
    trims: list[int]  # rows that the upsampling steps still have to drop at the beginning
    last: bool
    keep: list[Tensor] = field(default_factory=list)  # the history after
    keep_trims: list[int] = field(default_factory=list)

    def append(self, rows: Tensor, slope: float | None, zeros: int, reach: int) -> Tensor:
        """Return the history, `rows` through a leaky ReLU, and zeros at the end; retain the last `reach`."""
        before = self.kept[len(self.keep)]
        zeros = zeros if self.last else 0
        begin, end = before.shape[1], before.shape[1] + rows.shape[1]
        whole = rows.new_empty((rows.shape[0], end + zeros, rows.shape[2]))
        whole[:, :begin] = before
        if slope is None:
            whole[:, begin:end] = rows
        else:
            torch.ops.aten.leaky_relu.out(rows, slope, out=whole[:, begin:end])
        whole[:, end:] = 0
        self.keep.append(whole[:, max(0, whole.shape[1] - reach) :])
        return whole

    def add(self, change: Tensor, rows: Tensor) -> Tensor:
        """Add to `change`, in place, the rows that it lags behind: waiting ones, then `rows`; retain the rest."""
        before, count = self.kept[len(self.keep)], change.shape[1]
        waited = min(before.shape[1], count)
        change[:, :waited].add_(before[:, :waited])
        change[:, waited:].add_(rows[:, : count - waited])
        self.keep.append(torch.cat([before[:, waited:], rows[:, count - waited :]], dim=1))
        return change

    def trim(self, rows: Tensor, at_end: int) -> Tensor:
        """Return rows without those that their step drops at the beginning, and at the very end."""
        waiting = self.trims[len(self.keep_trims)]
        begin = min(waiting, rows.shape[1])
        self.keep_trims.append(waiting - begin)
        return rows[:, begin : rows.shape[1] - (at_end if self.last else 0)]


class Convolution:
    """A convolution in time, of rows that went through a leaky ReLU of slope `before`, if any."""

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        *,
        dilation: int = 1,
        padding: int,
        before: float | None = None,
        after: float | None = None,
    ) -> None:
        """`weight` is [outputs, inputs, width]; `padding`: zeros at each end; `after`: slope of a following ReLU."""
        self._outputs, self._inputs, width = weight.shape
        self._reach = (width - 1) * dilation
        self._dilation, self._before, self._after = dilation, before, after
        self._bias, self._like = bias, weight.new_zeros(())
        self.lag = padding
        image = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        self._packed = weight.device.type == "cpu" and torch.backends.mkldnn.is_available()
        self._packed &= weight.dtype != torch.bfloat16 or multiplies_bfloat16()
        self._weight: Tensor = (
            torch.ops.mkldnn._reorder_convolution_weight(  # noqa: SLF001  # torch.compile's own entry
                image, [0, 0], [1, 1], [1, dilation], 1, None
            )
            if self._packed
            else image
        )

    def begin(self) -> list[Tensor]:
        """Return the initial history."""
        return [self._like.new_zeros((self.lag, self._inputs))]

    def __call__(self, rows: Tensor, chunk: ChunkState, bias: Tensor | None = None) -> Tensor:
        """Return the rows that are determined now; `bias` [streams, outputs] is added to them."""
        whole = chunk.append(rows, self._before, self.lag, self._reach)
        if whole.shape[1] <= self._reach:
            return rows.new_empty((rows.shape[0], 0, self._outputs))
        # [streams, channels, 1, time], channels contiguous
        image = whole.transpose(1, 2).unsqueeze(2)
        made = self._convolve(image).squeeze(2).transpose(1, 2)
        return made if bias is None else made.add_(bias.unsqueeze(1))

    def _convolve(self, image: Tensor) -> Tensor:
        if self._packed:
            then = ("none", [], "") if self._after is None else ("leaky_relu", [self._after], "")
            made: Tensor = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001
                image, self._weight, self._bias, [0, 0], [1, 1], [1, self._dilation], 1, *then
            )
            return made
        made = functional.conv2d(image, self._weight, self._bias, dilation=(1, self._dilation))
        return made if self._after is None else functional.leaky_relu_(made, self._after)


class Upsampling:
    """A transposed convolution: `factor` rows for each, whose bias is passed with each chunk."""

    def __init__(self, weight: Tensor, factor: int, padding: int) -> None:
        """`weight` is [inputs, outputs, width]; `padding`: rows that are dropped at each end.

        Untrimmed, the `factor` adjacent rows that begin at row s * factor depend on the input rows s, s - 1 and
        so on, so they are the outputs of an ordinary convolution whose width is the number of those rows.
        """
        inputs, self._outputs, width = weight.shape
        taps = -(-width // factor)
        filled = functional.pad(weight, (0, taps * factor - width)).view(
            inputs, self._outputs, taps, factor
        )
        ordinary = filled.flip(2).permute(3, 1, 0, 2).reshape(factor * self._outputs, inputs, taps)
        self._convolution = Convolution(ordinary, None, padding=taps - 1, before=SLOPE)
        self._at_end = padding + taps * factor - width
        self.factor, self.trim = factor, padding

    def begin(self) -> list[Tensor]:
        """Return the initial history."""
        return self._convolution.begin()

    def __call__(self, rows: Tensor, chunk: ChunkState, bias: Tensor) -> Tensor:
        """Return the rows that are determined now; `bias` is [streams, factor * outputs]."""
        risen = self._convolution(rows, chunk, bias)
        return chunk.trim(risen.reshape(len(risen), -1, self._outputs), self._at_end)


class Residual:
    """Two convolutions whose result is added to their input."""

    def __init__(self, first: Convolution, second: Convolution) -> None:
        self._first, self._second = first, second
        self.lag = first.lag + second.lag

    def begin(self) -> list[Tensor]:
        """Return the initial history."""
        (zeros,) = self._first.begin()
        return [zeros, *self._second.begin(), zeros[:0]]

    def __call__(self, rows: Tensor, chunk: ChunkState) -> Tensor:
        """Return the rows that are determined now."""
        return chunk.add(self._second(self._first(rows, chunk), chunk), rows)


class UpsamplingStage:
    """One upsampling step, and the chains of residual layers after it, whose results are added."""

    def __init__(self, step: Upsampling, chains: Sequence[Sequence[Residual]]) -> None:
        self._step = step
        # the other outputs wait for the first
        self._chains = sorted(chains, key=_lag, reverse=True)
        self.factor, self.trim = step.factor, step.trim

    def lag(self, before: int) -> int:
        """Return the output's lag in output rows, given the input's lag in input rows."""
        return before * self.factor + self.trim + _lag(self._chains[0])

    def begin(self) -> list[Tensor]:
        """Return the initial history."""
        kept = self._step.begin()
        for index, chain in enumerate(self._chains):
            kept += [rows for residual in chain for rows in residual.begin()]
            if index:
                kept.append(kept[-1][:0])
        return kept

    def __call__(self, rows: Tensor, chunk: ChunkState, bias: Tensor) -> Tensor:
        """Return the sums that are determined now."""
        risen = self._step(rows, chunk, bias)
        slowest, *others = self._chains
        total = _through(slowest, risen, chunk)
        for chain in others:
            total = chunk.add(total, _through(chain, risen, chunk))
        return total


def _lag(chain: Sequence[Residual]) -> int:
    return sum(layer.lag for layer in chain)


def _through(chain: Sequence[Residual], rows: Tensor, chunk: ChunkState) -> Tensor:
    for layer in chain:
        rows = layer(rows, chunk)
    return rows
