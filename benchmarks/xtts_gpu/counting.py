"""Counts what a block of code asks of the device: operations, and reads that wait for it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

# operations that need a value on the host, so that it waits for all that was launched
_WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "equal", "unique")
_VIEWS = (
    "view",
    "unsqueeze",
    "squeeze",
    "select",
    "slice",
    "transpose",
    "permute",
    "expand",
    "t",
    "detach",
    "alias",
)


class Operations(TorchDispatchMode):  # type: ignore[misc]  # untyped in torch
    """Counts the operations of torch that are run inside of it, without views."""

    def __init__(self) -> None:
        super().__init__()
        self.by_name: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Return the number of operations that are launched."""
        return sum(self.by_name.values())

    @property
    def waits(self) -> int:
        """Return how many of them make the host wait."""
        return sum(self.by_name[name] for name in _WAITING)

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        arguments: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        name = function.overloadpacket.__name__
        if name not in _VIEWS:
            self.by_name[name] += 1
        return function(*arguments, **(named or {}))
