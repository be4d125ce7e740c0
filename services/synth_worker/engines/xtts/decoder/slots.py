"""Decode steps of fixed shape for a GPU: tables are allocated once, and a step replays a CUDA graph.

A step of a few rows is so short on a GPU that launching its hundreds of kernels takes longer than running
them. A CUDA graph launches them at once, but requires the same addresses and shapes every time. So each
sequence has a slot, a step always computes all slots, and the results for slots that are not in the batch
are written where they do no harm. Attention covers a window of positions that is as long as the longest
KV cache, in steps of 256, with one graph per window.

The host takes part in a step three times: it copies one table of inputs to the device (codes, positions,
sampling settings and noise, from page-locked memory, so the copy does not wait), it launches the graph, and
it waits for one thing, the table of the sampled codes.

Without a GPU the same steps run unrecorded, which lets the tests compare them with the other ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from services.synth_worker.engines.xtts.decoder.sampling import (
    Sampling,
    SamplingSettings,
    choose,
    controls_of,
)
from services.synth_worker.engines.xtts.decoder.transformer import AudioModel, Memory

_WINDOW: Final = 256
# Columns of the table of inputs, before the noise: exact in float32, as all of these integers are below 2**24.
_CODE, _CODE_POSITION, _POSITION, _ACTIVE, _CONTROLS = 0, 1, 2, 3, slice(4, 9)
_NOISE: Final = 9

Work = Callable[[], tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Row:
    """The input of one slot in a step."""

    slot: int
    code: int  # the last one sampled
    code_position: int  # of that code in the sentence, from 1
    noise: Tensor  # float32 [codes]


class Slots:
    """The tables of all slots."""

    def __init__(
        self, model: AudioModel, count: int, capacity: int, *, record: bool = True
    ) -> None:
        """Allocate `count` slots of `capacity` positions each; on a GPU, `record` the steps as graphs."""
        self._model = model
        device = model.device
        codes = model.codes
        self._free = list(range(count))[::-1]
        layers, two, heads, _, head = model.transformer.new_memory(0).tensor.shape
        kept_type = model.transformer.new_memory(0).tensor.dtype
        self._kept = torch.zeros(
            (layers, two, count, heads, capacity, head), dtype=kept_type, device=device
        )
        self._memories = [Memory(self._kept[:, :, slot]) for slot in range(count)]
        self._host = host_table((count, _NOISE + codes), device)
        self._host[:, _NOISE:] = 1
        self._host[:, _CONTROLS] = controls_of([Sampling()])
        self._inputs = torch.ones((count, _NOISE + codes), device=device)
        self._first = torch.zeros((count, model.transformer.width), device=device)
        self._codes = host_table((count,), device, torch.int64)
        self.penalty_mask = torch.zeros((count, codes), dtype=torch.bool, device=device)
        self._record = record and device.type == "cuda"
        self._steps: dict[int, Work] = {}

    @property
    def windows(self) -> range:
        """Return the windows that steps can have, the last one cut to the capacity."""
        return range(_WINDOW, self._kept.shape[4] + _WINDOW, _WINDOW)

    def acquire(self, sampling: Sampling) -> tuple[int, Memory]:
        """Acquire a free slot and its empty KV cache. Raises IndexError if none is free."""
        slot = self._free.pop()
        self._host[slot, _CONTROLS] = controls_of([sampling])[0]
        self._memories[slot].forget(0)
        return slot, self._memories[slot]

    def release(self, slot: int) -> None:
        """Release a slot for another sequence."""
        self._memories[slot].forget(0)
        self._free.append(slot)

    def advance(self, rows: Sequence[Row]) -> tuple[Sequence[Tensor], list[int]]:
        """Feed each row its last code; return the rows' latents [width] on the device, and their next codes."""
        self._fill(rows)
        longest = 1 + max(self._memories[row.slot].length for row in rows)
        results = self._step_of(-(-longest // _WINDOW) * _WINDOW)()
        for row in rows:
            self._memories[row.slot].advance(1)
        return self._read(rows, results)

    def begin(
        self, rows: Sequence[Row], latents: Sequence[Tensor]
    ) -> tuple[Sequence[Tensor], list[int]]:
        """Sample the first codes of rows from their latents [width]; return both."""
        self._fill(rows)
        for row, latent in zip(rows, latents, strict=True):
            self._first[row.slot].copy_(latent)
        return self._read(rows, self._step_of(0)())

    def prepare(self) -> None:
        """Record all steps; the slots must be free."""
        self._fill([])
        for window in (0, *self.windows):
            self._step_of(window)()

    def _fill(self, rows: Sequence[Row]) -> None:
        """Copy the inputs of a step to the device. The last step has ended: its codes were read."""
        host = self._host
        host[:, _ACTIVE] = 0
        host[:, _POSITION] = torch.tensor([memory.length for memory in self._memories])
        for row in rows:
            host[row.slot, _CODE] = row.code
            host[row.slot, _CODE_POSITION] = row.code_position
            host[row.slot, _ACTIVE] = 1
            host[row.slot, _NOISE:] = row.noise
        self._inputs.copy_(host, non_blocking=True)

    def _read(
        self, rows: Sequence[Row], results: tuple[Tensor, Tensor]
    ) -> tuple[Sequence[Tensor], list[int]]:
        """Return the rows' latents and codes; this waits for the step."""
        latents, codes = results
        self._codes.copy_(codes, non_blocking=True)
        if codes.is_cuda:
            torch.cuda.current_stream(codes.device).synchronize()
        chosen = self._codes.tolist()
        by_slot = latents.unbind(0)
        return [by_slot[row.slot] for row in rows], [chosen[row.slot] for row in rows]

    def _step_of(self, window: int) -> Work:
        """Return the step of a window; 0: only the sampling of first codes."""
        window = min(window, self._kept.shape[4])
        if window not in self._steps:
            recorded = _recorded if self._record else _unrecorded
            work = (lambda: self.step(window)) if window else self._sample_first
            self._steps[window] = recorded(work, (self.penalty_mask,))
        return self._steps[window]

    def step(self, window: int) -> tuple[Tensor, Tensor]:
        """Compute the next position of all slots; must not depend on values on the host."""
        last, code_positions, positions = self._inputs[:, :_ACTIVE].long().unbind(1)
        latents = self._model.next_latents(last, code_positions, self._attend(positions, window))
        return latents, self._sample(latents)

    def _sample_first(self) -> tuple[Tensor, Tensor]:
        return self._first, self._sample(self._first)

    def _sample(self, latents: Tensor) -> Tensor:
        temperature, top_k, beyond_top_p, penalty, greedy = self._inputs[:, _CONTROLS].split(1, 1)
        settings = SamplingSettings(
            temperature, top_k.long(), beyond_top_p, penalty, greedy.squeeze(1) > 0
        )
        noise = self._inputs[:, _NOISE:]
        codes = choose(self._model.scores(latents), self.penalty_mask, noise, settings)
        column = codes.unsqueeze(1)
        active = self._inputs[:, _ACTIVE : _ACTIVE + 1] > 0
        self.penalty_mask.scatter_(1, column, self.penalty_mask.gather(1, column) | active)
        return codes

    def _attend(self, positions: Tensor, window: int) -> Callable[[int, Tensor], Tensor]:
        """Attend from each row to its own slot up to its position, which is written first."""
        count, heads, head = self._kept.shape[2], self._kept.shape[3], self._kept.shape[5]
        slots = torch.arange(count, device=positions.device)
        visible = torch.arange(window, device=positions.device) <= positions.unsqueeze(1)
        # added to the scores; a bool mask would be converted in every layer
        mask = torch.zeros(visible.shape, dtype=self._kept.dtype, device=positions.device)
        mask = mask.masked_fill_(visible.logical_not(), -torch.inf)[:, None, None]

        def attend(layer: int, mixed: Tensor) -> Tensor:
            keys, values = self._kept[layer]
            queries, new_keys, new_values = (
                mixed.to(keys.dtype).view(count, 3, heads, head).unbind(1)
            )
            keys.transpose(1, 2).index_put_((slots, positions), new_keys)
            values.transpose(1, 2).index_put_((slots, positions), new_values)
            seen = functional.scaled_dot_product_attention(
                queries.unsqueeze(2), keys[:, :, :window], values[:, :, :window], attn_mask=mask
            )
            return seen.reshape(count, heads * head)

        return attend


def host_table(
    shape: tuple[int, ...], device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return zeros on the host, page-locked for a GPU, which can then copy them without waiting."""
    return torch.zeros(
        shape, dtype=dtype, pin_memory=device.type == "cuda" and torch.cuda.is_available()
    )


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Return values of the host on a device, copied without waiting."""
    if device.type == "cpu":
        return values
    if torch.cuda.is_available():
        values = values.pin_memory()
    return torch.empty_like(values, device=device).copy_(values, non_blocking=True)


def _unrecorded(
    step: Work,
    changed: Sequence[Tensor],  # noqa: ARG001  # the same signature as below
) -> Work:
    def run() -> tuple[Tensor, Tensor]:
        latents, codes = step()
        return latents.clone(), codes  # as a replay returns them

    return run


def _recorded(step: Work, changed: Sequence[Tensor]) -> Work:
    """Record a step as a CUDA graph; `changed` lists the tables that repeating the step would corrupt."""
    before = [table.clone() for table in changed]
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(
        aside
    ):  # kernels choose their plans in the first runs, which must not be recorded
        for _ in range(2):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step()
    for table, old in zip(changed, before, strict=True):
        table.copy_(old)

    def replay() -> tuple[Tensor, Tensor]:
        graph.replay()
        latents, codes = results
        return latents.clone(), codes  # the next replay overwrites them

    return replay
