"""JSON Schemas of the messages, from their types; the descriptions of fields are those of docs/wire.md."""

import re
from pathlib import Path
from typing import Any, Final

import msgspec

from services.common.wire import provenance, voices  # noqa: F401  # their messages are subclasses of Message
from services.common.wire.messages import Message

WIRE_PAGE: Final = Path(__file__).parents[2] / "docs" / "wire.md"
_ROW: Final = re.compile(r"^\| `(?P<field>\w+)` \|[^|]*\| (?P<meaning>.+?) ?\|$", re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\[\]]+)\]\([^)]*\)")
_BYTES: Final = {"contentEncoding": "base64", "contentMediaType": "application/octet-stream"}

Schema = dict[str, Any]


def kinds() -> list[type[Message]]:
    """Return all messages of the contract, by name."""
    return sorted(Message.__subclasses__(), key=lambda kind: kind.__name__)


def schemas(template: str) -> dict[str, Schema]:
    """Return a schema for each message and for each map inside one, by name; they refer to each other by `template`.

    Only keywords that mean the same in JSON Schema draft 7 and 2020-12.
    """
    _, made = msgspec.json.schema_components(kinds(), ref_template=template)
    for name, schema in made.items():
        _describe(schema, _meanings(name))
    return {name: _portable(made[name]) for name in sorted(made)}


def references(schema: object) -> set[str]:
    """Return the names that a schema refers to: the last part of each `$ref`."""
    if isinstance(schema, list):
        return set().union(*(references(inner) for inner in schema))
    if not isinstance(schema, dict):
        return set()

    target = schema.get("$ref")
    own = {target.rpartition("/")[2]} if isinstance(target, str) else set()
    return own.union(*(references(inner) for inner in schema.values()))


def _meanings(name: str) -> dict[str, str]:
    """Return the description of each field in a message's table on the page."""
    section = WIRE_PAGE.read_text("utf-8").partition(f"\n### {name}\n")[2]
    table = section.partition("\n### ")[0].partition("\n## ")[0]
    rows = _ROW.finditer(table)
    return {row["field"]: _LINK.sub(r"\1", row["meaning"]) for row in rows}


def _describe(schema: Schema, meanings: dict[str, str]) -> None:
    schema["description"] = " ".join(schema.get("description", "").split())
    for field, meaning in meanings.items():
        schema["properties"][field].setdefault("description", meaning)


def _portable(schema: Any) -> Any:
    """Return the schema with patterns of ECMA 262, and with the media type of bytes."""
    if isinstance(schema, list):
        return [_portable(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema

    made = {key: _portable(inner) for key, inner in schema.items()}
    if isinstance(made.get("pattern"), str):
        made["pattern"] = re.sub(r"\\Z$", "$", made["pattern"])
    if made.get("contentEncoding") == "base64":
        made |= _BYTES
    return made
