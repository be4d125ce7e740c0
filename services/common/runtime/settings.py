"""Settings: a frozen struct per service, read once in `__main__` from the environment, checked, passed in."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_WORDS: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
_KINDS: Final = {int: "a whole number", float: "a number"}


class BadSettings(Exception):
    """One line for each variable that cannot be used."""


def read_settings(kind: type[T], environment: Mapping[str, str]) -> T:
    """Build `kind` from variables named like its fields in upper case; fields without a default are required.

    Raises BadSettings, which names every bad variable and what to write. Values are never quoted: some are secrets.
    """
    values: dict[str, object] = {}
    complaints: list[str] = []
    for field in msgspec.structs.fields(kind):
        name = field.name.upper()
        if not environment.get(name):
            if field.required:
                complaints.append(f"{name}: required")
            continue
        try:
            values[field.name] = _converted(environment[name], field.type)
        except msgspec.ValidationError as error:
            complaints.append(f"{name}: {_wanted(field.type) or error}")
    if complaints:
        raise BadSettings("\n".join(complaints))
    return kind(**values)


def _converted(text: str, kind: Any) -> object:
    """Return the value that a variable's text stands for. Raises msgspec.ValidationError."""
    if kind is bool:
        return msgspec.convert(_WORDS.get(text.strip().lower()), type=bool)
    value: object = msgspec.convert(text, type=kind, strict=False)
    if value != value:  # noqa: PLR0124  # not a number
        raise msgspec.ValidationError
    return value


def _wanted(kind: Any) -> str:
    """Return the expected format of a field's type; empty if its error contains it."""
    metas = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    bare = get_args(kind)[0] if metas else kind
    if bare is bool:
        return "write true or false (1 or 0, yes or no, on or off)"
    if get_origin(bare) is Literal:
        return f"write one of {', '.join(map(str, get_args(bare)))}"
    if bare not in _KINDS:
        return ""
    limits = [limit for meta in metas for limit in _limits(meta)]
    return f"write {_KINDS[bare]}{', ' if limits else ''}{', '.join(limits)}"


def _limits(meta: msgspec.Meta) -> list[str]:
    named = {"at least": meta.ge, "more than": meta.gt, "at most": meta.le, "less than": meta.lt}
    return [f"{words} {limit:,}" for words, limit in named.items() if limit is not None]
