"""Functions of tensors recorded as CUDA graphs: one launch instead of hundreds."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor


class Result(Protocol):
    """The tensors that a recorded function returns."""

    def copied(self) -> Self:
        """Return a copy that the next call does not overwrite."""


ResultT = TypeVar("ResultT", bound=Result)


class Recorded(Generic[ResultT]):
    """A function of tensors of fixed shapes. Without a GPU it is called, on the same fixed tensors."""

    def __init__(
        self, function: Callable[..., ResultT], inputs: Sequence[Tensor], pool: Any
    ) -> None:
        """Run the function on copies of the inputs, which chooses its kernels, and record it."""
        self._inputs = [rows.clone() for rows in inputs]
        self._function = function
        self._graph: torch.cuda.CUDAGraph | None = None
        if pool is None:
            return
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(2):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self._results = function(*self._inputs)

    def __call__(self, inputs: Sequence[Tensor]) -> ResultT:
        """Return the result for other inputs of the same shapes."""
        for own, rows in zip(self._inputs, inputs, strict=True):
            own.copy_(rows)
        if self._graph is None:
            return self._function(*self._inputs).copied()
        self._graph.replay()
        return self._results.copied()


def graph_pool(device: torch.device) -> Any:
    """Return the memory that the graphs of one object share, as they never run at the same time; None on a CPU."""
    return (
        torch.cuda.graph_pool_handle()
        if device.type == "cuda" and torch.cuda.is_available()
        else None
    )
