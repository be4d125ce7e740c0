"""Builds the OpenAPI 3.1 document of an edge from the tables that requests are checked by."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services import __version__
from services.common.wire.fields import (
    MOST_CLIPS,
    MOST_NORMALIZED,
)
from services.http_edge.api_document import jobs, openai, provenance, service, speech, voices
from services.http_edge.api_document.failures import (
    EVERYWHERE,
    KEYED,
    by_status,
    code_of,
    reason,
)
from services.http_edge.api_document.operation import (
    FORM,
    JSON,
    Answer,
    Failure,
    FormBody,
    JsonBody,
    Operation,
)
from services.http_edge.api_document.pages import FILES
from services.http_edge.api_document.schemas import schemas
from services.http_edge.auth.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from services.http_edge.http.bodies import OpenAiError
from services.http_edge.http.jobs.book_routes import BOOK_FORMATS
from services.http_edge.http.openai.openai_errors import PREFIX
from services.http_edge.intake.forms.body import REFERENCE
from services.http_edge.intake.forms.form_fields import TEXT, Field, JsonField
from services.http_edge.intake.idempotency import ID_PATTERN
from services.http_edge.intake.openai.openai_body import ALIASES
from services.http_edge.problems import Problem
from services.http_edge.settings import Settings
from services.http_edge.subtitles.files import FORMATS as SUBTITLES

OPERATIONS: Final = (
    *speech.OPERATIONS,
    *jobs.OPERATIONS,
    *openai.OPERATIONS,
    *voices.OPERATIONS,
    *provenance.OPERATIONS,
    *service.OPERATIONS,
)
TITLE: Final = "Voice cloning"
_ABOUT: Final = (
    "Self-hosted voice cloning and text to speech. Errors are problem+json (RFC 9457) with a `code`; those of paths "
    "under /v1 are OpenAI's error object. Every response has `Request-Name` and `X-Request-Id`. A path that does not "
    "exist is a 404, `not_found`."
)
_TAGS: Final = {
    "speech": "Speech, and requests in progress",
    "jobs": "Long texts",
    "voices": "The voice library",
    "provenance": "Where recordings come from",
    "openai": "Paths that OpenAI's clients call",
    "service": "State, documents and metrics",
}
_EVERY_RESPONSE: Final = ("Request-Name", "X-Request-Id")
_WHOLE_NUMBERS: Final = ("Retry-After", "X-Sample-Rate", "X-Seed")
_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_PROBLEM: Final = "application/problem+json"


def openapi(settings: Settings) -> dict[str, Any]:
    """Return the document. Limits and the engine's name are those of `settings`."""
    return _Builder(settings).document()


def failures_of(operation: Operation) -> tuple[Failure, ...]:
    """Return every failure that an operation can answer with."""
    keyed = () if operation.open else KEYED
    return (*EVERYWHERE, *keyed, *operation.failures)


class _Builder:
    """Builds one document. `schemas` of all types are made at once, as they share their components."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        kinds = [*_kinds(), Problem, OpenAiError]
        found, self._components = schemas(kinds)
        self._schemas = {repr(kind): schema for kind, schema in zip(kinds, found, strict=True)}

    def document(self) -> dict[str, Any]:
        """Return the document."""
        paths: dict[str, dict[str, Any]] = {}
        for operation in OPERATIONS:
            methods = paths.setdefault(operation.path, {})
            if parameters := self._path_parameters(operation.path):
                methods["parameters"] = parameters
            methods[operation.method] = self._operation(operation)

        self._list_codes()
        security: list[dict[str, list[str]]] = [{name: []} for name in _SECURITY]
        return {
            "openapi": "3.1.0",
            "info": {"title": TITLE, "version": __version__, "description": _ABOUT},
            "servers": [{"url": "./"}],
            # without keys, which the operator chooses, nothing is required
            "security": security if self._settings.api_keys_file else [{}, *security],
            "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
            "paths": paths,
            "components": {
                "schemas": dict(sorted(self._components.items())),
                "headers": {name: _header(name, required=True) for name in _EVERY_RESPONSE},
                "securitySchemes": _SECURITY,
            },
        }

    def _list_codes(self) -> None:
        """List every code in the schema of problems."""
        codes = {code_of(failure) for found in OPERATIONS for failure in failures_of(found)}
        codes.add(code_of(404))
        self._components["Problem"]["properties"]["code"] |= {"enum": sorted(codes)}

    def _schema(self, kind: Any) -> dict[str, Any]:
        return self._schemas[repr(kind)]

    def _operation(self, operation: Operation) -> dict[str, Any]:
        described: dict[str, Any] = {
            "operationId": operation.name,
            "tags": [operation.tag],
            "summary": operation.summary,
            "parameters": [
                *(self._query_parameter(entry) for entry in operation.query),
                *(_header_parameter(name) for name in operation.headers),
            ],
            "responses": self._responses(operation),
        }
        if operation.open:
            described["security"] = []
        if operation.body is not None:
            described["requestBody"] = self._body(operation.body, operation.path)
        return described

    def _path_parameters(self, path: str) -> list[dict[str, Any]]:
        known: dict[str, dict[str, Any]] = {
            "id": {"type": "string", "pattern": f"^{ID_PATTERN}$"},
            "index": {"type": "integer", "minimum": 0},
            "voice": {"type": "string", "pattern": r"^[^/\x00-\x1f\x7f]{1,100}$"},
            "model": {"type": "string", "examples": [self._settings.engine, *ALIASES]},
            "format": {
                "type": "string",
                "enum": list(BOOK_FORMATS if "/book." in path else SUBTITLES),
            },
            "file": {"type": "string", "enum": list(FILES)},
        }
        return [
            {"name": name, "in": "path", "required": True, "schema": schema}
            for name, schema in known.items()
            if f"{{{name}}}" in path
        ]

    def _query_parameter(self, entry: Field) -> dict[str, Any]:
        return {
            "name": entry.name,
            "in": "query",
            "description": entry.description,
            "schema": dict(entry.schema),
        }

    def _body(self, body: FormBody | JsonBody, path: str) -> dict[str, Any]:
        if isinstance(body, JsonBody):
            return {"required": True, "content": {JSON: {"schema": self._json_schema(body)}}}

        properties = {entry.name: self._form_property(entry, path) for entry in body.fields}
        schema = {
            "type": "object",
            "properties": properties,
            "required": [entry.name for entry in body.fields if entry.required],
            "additionalProperties": False,
        }
        if "text_file" in properties:
            schema["required"] = []
            schema["anyOf"] = [{"required": ["text"]}, {"required": ["text_file"]}]
        encoding = {
            entry.name: {"contentType": entry.content_type}
            for entry in body.fields
            if entry.content_type != "text/plain"
        }
        return {"required": True, "content": {FORM: {"schema": schema, "encoding": encoding}}}

    def _form_property(self, entry: Field, path: str) -> dict[str, Any]:
        schema = {} if entry.kind is None else self._schema(entry.kind)
        described = {**schema, **entry.schema, "description": entry.description}
        if entry.name == REFERENCE:
            return {
                "type": "array",
                "items": dict(entry.schema),
                "minItems": 1,
                "maxItems": MOST_CLIPS,
                "description": entry.description,
            }
        if entry.name == TEXT:
            described["maxLength"] = self._longest_text(path)
        return described

    def _longest_text(self, path: str) -> int:
        settings = self._settings
        if path == "/jobs":
            return settings.max_job_characters
        if path == "/normalize":
            return min(settings.max_text_characters, MOST_NORMALIZED)
        return settings.max_text_characters

    def _json_schema(self, body: JsonBody) -> dict[str, Any]:
        properties = {entry.name: self._json_property(entry) for entry in body.fields}
        return {
            "type": "object",
            "properties": properties,
            "required": list(body.required),
            "minProperties": 1,
            "additionalProperties": body.others_ignored,
        }

    def _json_property(self, entry: JsonField) -> dict[str, Any]:
        schema = self._schema(entry.kind)
        if "type" in entry.schema or "anyOf" in entry.schema:
            schema = {}
        described = {**schema, **entry.schema, "description": entry.description}
        if entry.name == "model":
            described["examples"] = [self._settings.engine, *ALIASES]
        if entry.name == "input":
            described["maxLength"] = self._settings.max_text_characters
        return described

    def _responses(self, operation: Operation) -> dict[str, Any]:
        responses: dict[str, Any] = {}
        for answer in operation.answers:
            responses[str(answer.status)] = self._answer(answer)
        for status, codes in by_status(failures_of(operation)).items():
            failed = self._failed(operation, status, codes)
            if str(status) in responses:  # /readyz has its own 503
                known = responses[str(status)]
                known["content"] |= failed["content"]
                known["description"] += f"; {failed['description']}"
                continue
            responses[str(status)] = failed
        return dict(sorted(responses.items()))

    def _answer(self, answer: Answer) -> dict[str, Any]:
        content: dict[str, Any] = {}
        if answer.content is not None:
            content[JSON] = {"schema": self._schema(answer.content)}
        for media_type in answer.media_types:
            content[media_type] = {}
        described: dict[str, Any] = {
            "description": answer.description,
            "headers": _headers(answer.headers, answer.optional_headers),
        }
        if content:
            described["content"] = content
        return described

    def _failed(
        self, operation: Operation, status: int, codes: Mapping[str, str]
    ) -> dict[str, Any]:
        listed = [f"`{code}`: {text}" for code, text in sorted(codes.items())]
        openai = operation.path.startswith(PREFIX)
        schema = self._schema(OpenAiError if openai else Problem)
        if not openai:
            properties = {"code": {"enum": sorted(codes)}, "status": {"const": status}}
            schema = {"allOf": [schema, {"properties": properties}]}
        return {
            "description": f"{reason(status)}. {' '.join(listed)}",
            "headers": _headers((), ("Retry-After",) if status in (429, 503) else ()),
            "content": {JSON if openai else _PROBLEM: {"schema": schema}},
        }


def _kinds() -> list[Any]:
    """Return the types of all bodies and fields."""
    kinds: list[Any] = []
    for operation in OPERATIONS:
        kinds += [answer.content for answer in operation.answers if answer.content is not None]
        if operation.body is not None:
            fields: Sequence[Field | JsonField] = operation.body.fields
            kinds += [entry.kind for entry in fields if entry.kind is not None]
    return list({repr(kind): kind for kind in kinds}.values())


def _header_parameter(name: str) -> dict[str, Any]:
    described = {"name": name, "in": "header", "description": REQUEST_HEADERS[name]}
    if name == "Request-Name":
        return described | {"schema": {"type": "string", "pattern": f"^{ID_PATTERN}$"}}
    if name == "Idempotency-Key":
        return described | {"schema": {"type": "string", "pattern": "^[ -~]{1,255}$"}}
    return described | {"schema": {"type": "string"}}


def _headers(always: Sequence[str], sometimes: Sequence[str]) -> dict[str, Any]:
    every = {name: {"$ref": f"#/components/headers/{name}"} for name in _EVERY_RESPONSE}
    required = {name: _header(name, required=True) for name in always}
    return {**every, **required, **{name: _header(name, required=False) for name in sometimes}}


def _header(name: str, *, required: bool) -> dict[str, Any]:
    kind = "integer" if name in _WHOLE_NUMBERS else "string"
    described: dict[str, Any] = {
        "description": RESPONSE_HEADERS[name],
        "schema": {"type": kind},
    }
    return described | ({"required": True} if required else {})
