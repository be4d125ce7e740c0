"""The layers of a coqui `HifiganGenerator`, packed; read once, and not changed."""

import itertools
from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from services.synth_worker.engines.xtts.vocoder.layers import (
    SLOPE,
    Convolution,
    Residual,
    Upsampling,
    UpsamplingStage,
)

_LAST_SLOPE: Final = 0.01  # of the leaky ReLU before the last convolution


class Network:
    """The packed layers, and the map from a speaker to their biases."""

    def __init__(self, network: Any, dtype: torch.dtype, device: torch.device) -> None:
        """Pack an untyped module of coqui-tts, for a device."""
        self._dtype, self._device = dtype, device
        kinds = network.num_kernels
        # The mean over a stage's chains is folded into the next layer's weights: the ReLU between is unaffected.
        # its bias, like that of the steps, is combined with the speaker's part
        first = network.conv_pre
        self.first = Convolution(self._weight(first), None, padding=first.padding[0])
        self.stages = [
            self._stage(
                step, network.resblocks[index * kinds :][:kinds], 1 if index == 0 else 1 / kinds
            )
            for index, step in enumerate(network.ups)
        ]
        self.last = self._convolution(network.conv_post, before=_LAST_SLOPE, scale=1 / kinds)
        self.speaker, self.bias, self.biases = self._conditioned(network)

    def _stage(self, step: Any, blocks: Sequence[Any], scale: float) -> UpsamplingStage:
        chains = [
            [
                Residual(
                    self._convolution(first, before=SLOPE, after=SLOPE), self._convolution(second)
                )
                for first, second in zip(block.convs1, block.convs2, strict=True)
            ]
            for block in blocks
        ]
        return UpsamplingStage(
            Upsampling(self._weight(step) * scale, step.stride[0], step.padding[0]), chains
        )

    def _convolution(
        self,
        layer: Any,
        *,
        before: float | None = None,
        after: float | None = None,
        scale: float = 1,
    ) -> Convolution:
        return Convolution(
            self._weight(layer) * scale,
            None if layer.bias is None else self._own(layer.bias),
            dilation=layer.dilation[0],
            padding=layer.padding[0],
            before=before,
            after=after,
        )

    def _conditioned(self, network: Any) -> tuple[Tensor, Tensor, list[int]]:
        """Return the map from a speaker to a stream's biases: a matrix, the constant part, and the sizes."""
        layers = [network.conv_pre, *network.ups]
        speaker = [network.cond_layer, *(network.conds if network.cond_in_each_up_layer else [])]
        matrices, biases = [], []
        for layer, addition in itertools.zip_longest(layers, speaker):
            bias = layer.bias.detach()
            matrix = bias.new_zeros((len(bias), network.cond_layer.in_channels))
            if addition is not None:
                matrix, bias = addition.weight.detach().squeeze(2), bias + addition.bias.detach()
            times = 1 if layer is network.conv_pre else layer.stride[0]
            matrices.append(matrix.repeat(times, 1))
            biases.append(bias.repeat(times))
        return (
            torch.cat(matrices).to(self._device),
            torch.cat(biases).to(self._device),
            [len(bias) for bias in biases],
        )

    def _weight(self, layer: Any) -> Tensor:
        """Return a layer's weight, recomputed from the factors of its weight normalization."""
        return self._own(layer.weight)

    def _own(self, parameter: Tensor) -> Tensor:
        return parameter.detach().to(self._device, self._dtype)
