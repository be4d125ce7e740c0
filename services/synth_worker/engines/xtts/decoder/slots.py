"""Decode steps of fixed shape for a GPU: tables are allocated once, and a step replays a CUDA graph.

A step of a few rows is so short on a GPU that launching its thousand kernels takes longer than running
them. A CUDA graph launches them at once, but requires the same addresses and shapes every time. So each
sequence has a slot, a step always computes all slots, and the results for slots that are not in the batch
are written where they do no harm. Attention covers a window of positions that is as long as the longest
KV cache, in steps of 256, with one graph per window.

Without a GPU the same steps run unrecorded, which lets the tests compare them with the other ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from services.synth_worker.engines.xtts.decoder.sampling import Sampling, choose, settings_of
from services.synth_worker.engines.xtts.decoder.transformer import AudioModel, Memory

_WINDOW: Final = 256


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
        self._kept = (
            model.transformer.new_memory(capacity).tensor.unsqueeze(2).repeat(1, 1, count, 1, 1, 1)
        )
        self._memories = [Memory(self._kept[:, :, slot]) for slot in range(count)]
        # code, its position in the sentence, position in the KV cache, whether in the batch
        self._inputs = torch.zeros((4, count), dtype=torch.int64, device=device)
        self._noise = torch.ones((count, codes), device=device)
        self._settings = settings_of([Sampling()] * count, device)
        self.penalty_mask = torch.zeros((count, codes), dtype=torch.bool, device=device)
        self._record = record and device.type == "cuda"
        self._steps: dict[int, Callable[[], tuple[Tensor, Tensor]]] = {}

    def acquire(self, sampling: Sampling) -> tuple[int, Memory]:
        """Acquire a free slot and its empty KV cache. Raises IndexError if none is free."""
        slot = self._free.pop()
        self._settings.put(slot, sampling)
        self._memories[slot].forget(0)
        return slot, self._memories[slot]

    def release(self, slot: int) -> None:
        """Release a slot for another sequence."""
        self._memories[slot].forget(0)
        self._free.append(slot)

    def advance(self, rows: Sequence[Row]) -> tuple[Tensor, list[int]]:
        """Feed each row its last code; return the latents [rows, width] on the device, and the next codes."""
        count = len(self._memories)
        inputs = torch.zeros((4, count), dtype=torch.int64)
        inputs[2] = torch.tensor([memory.length for memory in self._memories])
        noise = torch.ones(self._noise.shape)
        for row in rows:
            inputs[:, row.slot] = torch.tensor(
                [row.code, row.code_position, self._memories[row.slot].length, 1]
            )
            noise[row.slot] = row.noise
        self._inputs.copy_(inputs)
        self._noise.copy_(noise)
        slots = [row.slot for row in rows]
        window = -(-(1 + max(self._memories[slot].length for slot in slots)) // _WINDOW) * _WINDOW
        latents, codes = self._step_of(min(window, self._kept.shape[4]))()
        for slot in slots:
            self._memories[slot].advance(1)
        chosen = codes.tolist()
        return latents[slots], [chosen[slot] for slot in slots]

    def _step_of(self, window: int) -> Callable[[], tuple[Tensor, Tensor]]:
        if window not in self._steps:
            recorded = _recorded if self._record else _unrecorded
            self._steps[window] = recorded(lambda: self._step(window), (self.penalty_mask,))
        return self._steps[window]

    def _step(self, window: int) -> tuple[Tensor, Tensor]:
        """Compute the next position of all slots; must not depend on values on the host."""
        last, code_positions, positions, active = self._inputs
        latents = self._model.next_latents(last, code_positions, self._attend(positions, window))
        codes = choose(self._model.scores(latents), self.penalty_mask, self._noise, self._settings)
        column = codes.unsqueeze(1)
        self.penalty_mask.scatter_(
            1, column, self.penalty_mask.gather(1, column) | active.bool().unsqueeze(1)
        )
        return latents, codes

    def _attend(self, positions: Tensor, window: int) -> Callable[[int, Tensor], Tensor]:
        """Attend from each row to its own slot up to its position, which is written first."""
        count, heads, head = self._kept.shape[2], self._kept.shape[3], self._kept.shape[5]
        slots = torch.arange(count, device=positions.device)
        visible = torch.arange(window, device=positions.device) <= positions.unsqueeze(1)

        def attend(layer: int, mixed: Tensor) -> Tensor:
            keys, values = self._kept[layer]
            queries, new_keys, new_values = (
                mixed.to(keys.dtype).view(count, 3, heads, head).unbind(1)
            )
            keys[slots, :, positions] = new_keys
            values[slots, :, positions] = new_values
            seen = functional.scaled_dot_product_attention(
                queries.unsqueeze(2),
                keys[:, :, :window],
                values[:, :, :window],
                attn_mask=visible[:, None, None],
            )
            return seen.reshape(count, heads * head)

        return attend


def _unrecorded(
    step: Callable[[], tuple[Tensor, Tensor]],
    changed: Sequence[Tensor],  # noqa: ARG001  # the same signature as below
) -> Callable[[], tuple[Tensor, Tensor]]:
    return step


def _recorded(
    step: Callable[[], tuple[Tensor, Tensor]], changed: Sequence[Tensor]
) -> Callable[[], tuple[Tensor, Tensor]]:
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
