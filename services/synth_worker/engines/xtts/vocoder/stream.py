"""The HiFi-GAN vocoder of XTTS, as a stream: every frame is computed once, in chunks of any size.

How it works
------------

Kong, Kim and Bae, "HiFi-GAN: generative adversarial networks for efficient and high fidelity speech
synthesis" (2020), with a speaker embedding added at each stage, as coqui-tts builds it.

1. `FrameResampler` stretches the decoder's latents in time to frames (frames.py).
2. The first convolution is followed by the stages: each upsamples its rows by a transposed convolution
   and adds the results of several chains of residual convolutions. The last convolution and a tanh
   produce one sample per row.
3. All of these have a finite receptive field, so every sample depends on a limited number of frames
   before and after it. A sample is emitted as soon as the last frame that it depends on has arrived; the
   output therefore lags the input by `lookahead_samples` until the last chunk flushes it.
4. Between chunks, each layer retains exactly the input rows that its next outputs depend on (layers.py).
   A `VocoderStream` is that state, flattened to one tensor. The zero padding of the two ends is the state
   at the start and extra input at the end.

The output is stock's render of the whole sentence, in chunks, without cross-fades; nothing is computed
twice, and the time per frame stays constant. Streams with the same state shapes and number of new frames
are rendered as one batch.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from services.synth_worker.engines.xtts.vocoder.frames import FrameResampler
from services.synth_worker.engines.xtts.vocoder.layers import (
    SLOPE,
    ChunkState,
    Convolution,
    Residual,
    Upsampling,
    UpsamplingStage,
)

_LAST_SLOPE: Final = 0.01  # of the leaky ReLU before the last convolution


@dataclass(eq=False)
class VocoderStream:
    """The state of one sentence's audio. Created by `Vocoder.open`, advanced by `Vocoder.feed`."""

    frames: FrameResampler
    bias: Tensor  # of the first layer and of each stage's upsampling, concatenated, with the speaker's part
    kept: Tensor  # the history of all layers, concatenated
    shapes: list[tuple[int, int]]  # of each layer's history: rows, channels
    trims: list[int]  # rows that the stages' upsamplings still have to drop


class Vocoder:
    """The vocoder of a coqui `HifiDecoder`, which is read and not changed."""

    def __init__(
        self,
        decoder: Any,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        """Pack `decoder`, an untyped module of coqui-tts; `device`: None for the device that it is on.

        In bfloat16 the audio is stock's with noise about 40 dB below it, in half the time.
        """
        network = decoder.waveform_decoder
        self._dtype, self._device = dtype, torch.device(device or network.conv_pre.weight.device)
        kinds = network.num_kernels
        # The mean over a stage's chains is folded into the next layer's weights: the ReLU between is unaffected.
        # its bias, like that of the steps, is combined with the speaker's part
        first = network.conv_pre
        self._first = Convolution(self._weight(first), None, padding=first.padding[0])
        self._stages = [
            self._stage(
                step, network.resblocks[index * kinds :][:kinds], 1 if index == 0 else 1 / kinds
            )
            for index, step in enumerate(network.ups)
        ]
        self._last = self._convolution(network.conv_post, before=_LAST_SLOPE, scale=1 / kinds)
        self._speaker, self._bias, self._biases = self._conditioned(network)
        self._factors = (
            decoder.ar_mel_length_compression / decoder.output_hop_length,
            decoder.output_sample_rate / decoder.input_sample_rate,
        )

    @property
    def hop_samples(self) -> int:
        """Return the number of samples per frame."""
        return math.prod(stage.factor for stage in self._stages)

    @property
    def lookahead_samples(self) -> int:
        """Return how many samples the audio lags behind the frames, until the last one: the minimum."""
        lag = self._first.lag
        for stage in self._stages:
            lag = stage.lag(lag)
        return lag + self._last.lag

    @torch.inference_mode()
    def open(self, speaker: Tensor, speed: float = 1.0) -> VocoderStream:
        """Begin a sentence's audio with a speaker embedding, float32 [1, 512, 1]; `speed` 2 halves it."""
        layers: list[Convolution | UpsamplingStage] = [self._first, *self._stages, self._last]
        kept = [rows for layer in layers for rows in layer.begin()]
        return VocoderStream(
            frames=FrameResampler((1 / speed, *self._factors)),
            bias=torch.addmv(self._bias, self._speaker, speaker.flatten().to(self._bias)).to(
                self._dtype
            ),
            kept=torch.cat([rows.flatten() for rows in kept]),
            shapes=[(rows.shape[0], rows.shape[1]) for rows in kept],
            trims=[stage.trim for stage in self._stages],
        )

    @torch.inference_mode()
    def feed(
        self, streams: Sequence[VocoderStream], latents: Sequence[Tensor], last: Sequence[bool]
    ) -> list[Tensor]:
        """Return the samples that are determined now, float32 [m] each, on the CPU, at 24 kHz.

        `latents` float32 [n, width] are each stream's next ones; `last`: none follow. Streams at the same
        point that get the same number of frames are computed together; on a CPU each stream's samples are the
        same to the last bit whatever shares its batch, on a GPU up to rounding.
        """
        frames = [
            stream.frames.feed(rows.to(self._device, torch.float32), last=over)
            for stream, rows, over in zip(streams, latents, last, strict=True)
        ]
        alike: dict[Hashable, list[int]] = defaultdict(list)
        for index, (stream, rows, over) in enumerate(zip(streams, frames, last, strict=True)):
            alike[over, len(rows), tuple(stream.shapes), tuple(stream.trims)].append(index)
        samples = [torch.empty(0)] * len(streams)
        for indices in alike.values():
            over, rows = last[indices[0]], torch.stack([frames[index] for index in indices])
            if over or rows.shape[1]:
                made = self._render([streams[index] for index in indices], rows, last=over)
                for index, one in zip(indices, made, strict=True):
                    samples[index] = one
        return samples

    def _render(
        self, streams: Sequence[VocoderStream], frames: Tensor, *, last: bool
    ) -> Sequence[Tensor]:
        """Advance streams of equal state by frames [streams, n, width]; return their samples."""
        shapes = streams[0].shapes
        kept = torch.stack([stream.kept for stream in streams]).split_with_sizes(
            [math.prod(one) for one in shapes], 1
        )
        rows_kept = [
            rows.reshape(len(streams), *shape) for rows, shape in zip(kept, shapes, strict=True)
        ]
        chunk = ChunkState(rows_kept, streams[0].trims, last)
        first, *biases = torch.stack([stream.bias for stream in streams]).split_with_sizes(
            self._biases, 1
        )
        rows = self._first(frames.to(self._dtype), chunk, first)
        for stage, bias in zip(self._stages, biases, strict=True):
            rows = stage(rows, chunk, bias)
        samples = self._last(rows, chunk).flatten(1).float().tanh_()
        keep = torch.cat([rows.flatten(1) for rows in chunk.keep], dim=1)
        for stream, own in zip(streams, keep, strict=True):
            stream.kept, stream.trims = own, chunk.keep_trims
            stream.shapes = [(rows.shape[1], rows.shape[2]) for rows in chunk.keep]
        return samples.cpu().unbind()

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
