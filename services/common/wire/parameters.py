"""Synthesis parameters: every parameter's range, and the refusal of those that an engine does not take."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec import inspect

from services.common.wire.failures import UnsupportedParameter
from services.common.wire.messages import WorkerState
from services.common.wire.options import Parameters


@dataclass(frozen=True)
class Range:
    """The values of one parameter, both ends among them."""

    lowest: float
    highest: float
    whole: bool  # whole numbers only
    words: tuple[str, ...] = ()  # that stand for something else than a number

    def __str__(self) -> str:
        """Format it as text."""
        numbers = (
            f"a {'whole ' if self.whole else ''}number from {self.lowest:g} to {self.highest:g}"
        )
        return " or ".join([numbers, *self.words])


def _range(field: msgspec.structs.FieldInfo) -> Range:
    """Read a range off the message, so that it is written down once."""
    kinds = inspect.type_info(field.type)
    several = kinds.types if isinstance(kinds, inspect.UnionType) else ()
    words = tuple(
        str(word)
        for kind in several
        if isinstance(kind, inspect.LiteralType)
        for word in kind.values
    )
    for kind in several:
        if (
            isinstance(kind, inspect.IntType | inspect.FloatType)
            and kind.ge is not None
            and kind.le is not None
        ):
            return Range(kind.ge, kind.le, isinstance(kind, inspect.IntType), words)
    raise TypeError(f"the parameter {field.name} has no range")


RANGES: Final = MappingProxyType(
    {field.name: _range(field) for field in msgspec.structs.fields(Parameters)}
)


def given(parameters: Parameters) -> dict[str, float | str]:
    """Return the parameters that are set, by name."""
    values: dict[str, float | str | None] = msgspec.structs.asdict(parameters)
    return {name: value for name, value in values.items() if value is not None}


def require_taken(parameters: Parameters, *, engine: str, takes: Collection[str]) -> None:
    """Raise UnsupportedParameter where something is set that the engine does not take: never ignore it in silence."""
    refused = [name for name in given(parameters) if name not in takes]
    if refused:
        known = f"it takes {', '.join(takes)}" if takes else "it takes none"
        failure = UnsupportedParameter(
            f"the engine {engine} has no use for {', '.join(refused)}; {known}; leave out the others"
        )
        failure.field = refused[0]
        raise failure


def with_defaults(
    parameters: Parameters, defaults: Parameters, *, takes: Collection[str]
) -> Parameters:
    """Return the parameters with those of `defaults` that are not set and that the engine takes."""
    filled = {name: value for name, value in given(defaults).items() if name in takes}
    return msgspec.structs.replace(parameters, **(filled | given(parameters)))


def takes_of(workers: Sequence[WorkerState]) -> dict[str, float]:
    """Return the parameters, with their defaults, that every one of these workers takes: any of them may be asked."""
    first = workers[0].parameters if workers else {}
    return {
        name: default
        for name, default in first.items()
        if all(name in worker.parameters for worker in workers)
    }
