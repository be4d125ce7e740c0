"""Settings: a frozen struct per service, read once in `__main__` from the environment, checked, passed in."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class BadSettings(Exception):
    """One line for each variable that cannot be used."""


def read_settings(kind: type[T], environment: Mapping[str, str]) -> T:
    """Build `kind` from variables named like its fields in upper case; fields without a default are required.

    Raises BadSettings, which names every bad variable and what it should be. Values are never quoted: some are
    secrets.
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
            values[field.name] = msgspec.convert(environment[name], type=field.type, strict=False)
        except msgspec.ValidationError as error:
            complaints.append(f"{name}: {error}")
    if complaints:
        raise BadSettings("\n".join(complaints))
    return kind(**values)
