"""Counts what a block of code asks of the device: operations, and reads that wait for it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Operations that need a value on the host, so that it waits for all that was launched. In inference mode some arrive
# whole (`item`), else as what they consist of (`_local_scalar_dense`).
_WAITING = (
    "item",
    "_local_scalar_dense",
    "is_nonzero",
    "nonzero",
    "argwhere",
    "masked_select",
    "equal",
    "unique_dim",
    "unique_consecutive",
    "_unique2",
    "unique2",
    "bincount",
)
_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")
_BY_MASK = "index by a mask"  # whose size is known on the device only
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
        return sum(self.by_name[name] for name in (*_WAITING, _BY_MASK))

    def __torch_dispatch__(
        self,
        function: Any,
        types: Any,
        arguments: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        name = function.overloadpacket.__name__
        if name not in _VIEWS:
            self.by_name[_BY_MASK if _is_by_mask(name, arguments) else name] += 1
        return function(*arguments, **(named or {}))


def _is_by_mask(name: str, arguments: Sequence[Any]) -> bool:
    if name == "where":
        return len(arguments) == 1  # the indices, as `nonzero` gives them
    return name in _INDEXING and any(
        index is not None and index.dtype in (torch.bool, torch.uint8) for index in arguments[1]
    )
