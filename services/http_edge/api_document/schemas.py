"""JSON Schemas of the types that bodies are checked by."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

_REFERENCE: Final = "#/components/schemas/{name}"


def schemas(types: Iterable[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the schema of each type, and the schemas that they refer to, by name."""
    found, components = msgspec.json.schema_components(list(types), ref_template=_REFERENCE)
    return [_ecma(schema) for schema in found], _ecma(components)


def _ecma(schema: Any) -> Any:
    """Return a schema with patterns as JSON Schema has them: `$` is the end of the text, and there is no `\\Z`."""
    if isinstance(schema, dict):
        return {
            key: value.replace(r"\Z", "$")
            if key == "pattern" and isinstance(value, str)
            else _ecma(value)
            for key, value in schema.items()
        }
    if isinstance(schema, list | tuple):
        return [_ecma(item) for item in schema]
    return schema
