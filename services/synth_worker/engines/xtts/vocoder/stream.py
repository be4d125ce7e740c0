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

On a GPU a render is so short that launching its hundreds of kernels takes longer, and every new shape costs
time at its first use. So frames are rendered in multiples of a quantum, the rest of them with the next
chunk; the last chunk is rendered as such a multiple and an end of one to two quanta; and a batch is padded
to a power of two. That leaves few shapes: `prepare` runs them all, and records the usual ones as CUDA graphs
(recording.py).
"""

import copy
import functools
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from services.synth_worker.engines.xtts.vocoder.frames import FrameResampler
from services.synth_worker.engines.xtts.vocoder.layers import (
    ChunkState,
    Convolution,
    UpsamplingStage,
)
from services.synth_worker.engines.xtts.vocoder.network import Network
from services.synth_worker.engines.xtts.vocoder.recording import Recorded, graph_pool

_RECORDED_STREAMS: Final = 16  # larger batches take longer to run than to launch


@dataclass(eq=False)
class VocoderStream:
    """The state of one sentence's audio. Created by `Vocoder.open`, advanced by `Vocoder.feed`."""

    frames: FrameResampler
    bias: Tensor  # of the first layer and of each stage's upsampling, concatenated, with the speaker's part
    kept: Tensor  # the history of all layers, concatenated
    shapes: list[tuple[int, int]]  # of each layer's history: rows, channels
    trims: list[int]  # rows that the stages' upsamplings still have to drop
    pending: Tensor | None = None  # frames that wait for a whole quantum


@dataclass(frozen=True, eq=False)
class _Rendered:
    """A render: what its streams become."""

    samples: Tensor  # float32 [streams, n]
    kept: Tensor  # [streams, size]
    shapes: list[tuple[int, int]]
    trims: list[int]

    def copied(self) -> "_Rendered":
        """Return a copy that the next render of the same graph does not overwrite."""
        return _Rendered(self.samples.clone(), self.kept.clone(), self.shapes, self.trims)


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()


def _padded(rows: Tensor, missing: int) -> Tensor:
    """Return rows [streams, ...] with as many zero streams added."""
    return rows if not missing else torch.cat([rows, rows.new_zeros((missing, *rows.shape[1:]))])


class Vocoder:
    """The vocoder of a coqui `HifiDecoder`, which is read and not changed."""

    def __init__(
        self,
        decoder: Any,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        quantum: int = 1,
    ) -> None:
        """Pack `decoder`, an untyped module of coqui-tts; `device`: None for the device that it is on.

        With a `quantum` above 1, frames, chunks and batches have few different sizes, as a GPU requires.

        In bfloat16 the audio is stock's with noise about 40 dB below it, in half the time.
        """
        network = decoder.waveform_decoder
        self._dtype, self._device = dtype, torch.device(device or network.conv_pre.weight.device)
        self._quantum, self._width = quantum, network.conv_pre.in_channels
        self.rendered: set[Hashable] = set()  # the shapes of all renders so far
        self._pool = graph_pool(self._device)
        self._recorded: dict[Hashable, Recorded[_Rendered]] = {}
        self._network = Network(network, self._dtype, self._device)
        self._factors = (
            decoder.ar_mel_length_compression / decoder.output_hop_length,
            decoder.output_sample_rate / decoder.input_sample_rate,
        )

    @property
    def hop_samples(self) -> int:
        """Return the number of samples per frame."""
        return math.prod(stage.factor for stage in self._network.stages)

    @property
    def lookahead_samples(self) -> int:
        """Return how many samples the audio lags behind the frames, until the last one: the minimum."""
        lag = self._network.first.lag
        for stage in self._network.stages:
            lag = stage.lag(lag)
        return lag + self._network.last.lag

    @torch.inference_mode()
    def open(self, speaker: Tensor, speed: float = 1.0) -> VocoderStream:
        """Begin a sentence's audio with a speaker embedding, float32 [1, 512, 1]; `speed` 2 halves it."""
        layers: list[Convolution | UpsamplingStage] = [
            self._network.first,
            *self._network.stages,
            self._network.last,
        ]
        kept = [rows for layer in layers for rows in layer.begin()]
        return VocoderStream(
            frames=FrameResampler((1 / speed, *self._factors)),
            bias=torch.addmv(
                self._network.bias, self._network.speaker, speaker.flatten().to(self._network.bias)
            ).to(self._dtype),
            kept=torch.cat([rows.flatten() for rows in kept]),
            shapes=[(rows.shape[0], rows.shape[1]) for rows in kept],
            trims=[stage.trim for stage in self._network.stages],
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
        if self._quantum == 1:
            return self._feed(streams, frames, last)
        whole = [
            self._whole(stream, rows, last=over)
            for stream, rows, over in zip(streams, frames, last, strict=True)
        ]
        samples = self._feed(streams, whole, [False] * len(streams))
        ending = [index for index, over in enumerate(last) if over]
        ends = self._feed(
            [streams[index] for index in ending],
            [self._rest(streams[index]) for index in ending],
            [True] * len(ending),
        )
        for index, end in zip(ending, ends, strict=True):
            samples[index] = torch.cat([samples[index], end])
        return samples

    def _whole(self, stream: VocoderStream, frames: Tensor, *, last: bool) -> Tensor:
        """Return the frames to render now, in whole quanta: as many as came, so that equal chunks have equal sizes.

        Those left over wait for the last chunk, of which a quantum or more stays pending.
        """
        quantum = self._quantum
        pending = frames if stream.pending is None else torch.cat([stream.pending, frames])
        usual = len(pending) - quantum if last else max(quantum, len(frames))
        count = max(0, min(usual, len(pending))) // quantum * quantum
        stream.pending = pending[count:]
        return pending[:count]

    def _rest(self, stream: VocoderStream) -> Tensor:
        rest, stream.pending = stream.pending, None
        return torch.empty((0, self._width), device=self._device) if rest is None else rest

    def _feed(
        self, streams: Sequence[VocoderStream], frames: Sequence[Tensor], last: Sequence[bool]
    ) -> list[Tensor]:
        """Render new frames [n, width] of each stream; those that are alike share a render."""
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
        shapes, trims = tuple(streams[0].shapes), tuple(streams[0].trims)
        inputs = (
            frames.to(self._dtype),
            torch.stack([stream.kept for stream in streams]),
            torch.stack([stream.bias for stream in streams]),
        )
        if self._quantum > 1:
            missing = _power_of_two(len(streams)) - len(streams)
            inputs = tuple(_padded(rows, missing) for rows in inputs)  # type: ignore[assignment]
        key = (last, inputs[0].shape, shapes, trims)
        self.rendered.add(key)
        recorded = self._recorded.get(key)
        made = (
            self._run(*inputs, shapes, trims, last=last) if recorded is None else recorded(inputs)
        )
        for stream, own in zip(streams, made.kept, strict=False):
            stream.kept, stream.trims, stream.shapes = own, made.trims, made.shapes
        return made.samples[: len(streams)].cpu().unbind()

    def _run(
        self,
        frames: Tensor,
        kept: Tensor,
        bias: Tensor,
        shapes: tuple[tuple[int, int], ...],
        trims: tuple[int, ...],
        *,
        last: bool,
    ) -> "_Rendered":
        """Render frames [streams, n, width] from states `kept` [streams, size]; touches no other state."""
        parts = kept.split_with_sizes([math.prod(one) for one in shapes], 1)
        rows_kept = [
            rows.reshape(len(frames), *shape) for rows, shape in zip(parts, shapes, strict=True)
        ]
        chunk = ChunkState(rows_kept, list(trims), last)
        first, *biases = bias.split_with_sizes(self._network.biases, 1)
        rows = self._network.first(frames, chunk, first)
        for stage, own in zip(self._network.stages, biases, strict=True):
            rows = stage(rows, chunk, own)
        samples = self._network.last(rows, chunk).flatten(1).float().tanh_()
        return _Rendered(
            samples,
            torch.cat([rows.flatten(1) for rows in chunk.keep], dim=1),
            [(rows.shape[1], rows.shape[2]) for rows in chunk.keep],
            chunk.keep_trims,
        )

    @torch.inference_mode()
    def prepare(self, most: int, chunks: Sequence[int]) -> None:
        """Render once what up to `most` streams at once need, whose chunks have these numbers of codes.

        The chunks themselves are recorded, in batches that are launched more slowly than they run.
        """
        count = 1
        while count <= _power_of_two(most):
            streams = [self.open(torch.zeros((1, 512, 1))) for _ in range(count)]
            if count <= _RECORDED_STREAMS:
                self._record_chunks(streams, chunks)
            for codes in chunks:
                latents = [torch.zeros((codes, self._width), device=self._device)] * count
                self.feed(streams, latents, [False] * count)
            longest = math.ceil(max(chunks) * math.prod(self._factors)) + 3 * self._quantum
            for frames in range(self._quantum, longest + self._quantum, self._quantum):
                self._try(streams, frames, last=False)
            for frames in range(self._quantum, 2 * self._quantum):
                self._try(streams, frames, last=True)
            count *= 2

    def _record_chunks(self, streams: Sequence[VocoderStream], chunks: Sequence[int]) -> None:
        """Record the chunks of a sentence from its first one on, and the longest one twice: the usual state."""
        trial = [copy.copy(stream) for stream in streams]
        for codes in (*chunks, chunks[-1]):
            frames = int(codes * math.prod(self._factors)) // self._quantum * self._quantum
            shapes, trims = tuple(trial[0].shapes), tuple(trial[0].trims)
            inputs = (
                torch.zeros((len(trial), frames, self._width), device=self._device).to(self._dtype),
                torch.stack([stream.kept for stream in trial]),
                torch.stack([stream.bias for stream in trial]),
            )
            run = functools.partial(self._run, shapes=shapes, trims=trims, last=False)
            key = (False, inputs[0].shape, shapes, trims)
            if key not in self._recorded:
                self._recorded[key] = Recorded(run, inputs, self._pool)
            self._render(trial, inputs[0], last=False)

    def _try(self, streams: Sequence[VocoderStream], frames: int, *, last: bool) -> None:
        """Render once, without effect on the streams."""
        rows = torch.zeros((len(streams), frames, self._width), device=self._device)
        self._render([copy.copy(stream) for stream in streams], rows, last=last)
