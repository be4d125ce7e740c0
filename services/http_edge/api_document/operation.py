"""The description of one operation of the API."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.common.wire.failures import PipelineError
from services.http_edge.http.queries import QUERIES
from services.http_edge.intake.forms.form_fields import Field, JsonField

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"

Failure = type[PipelineError] | int  # the status of a failure of HTTP itself


@dataclass(frozen=True)
class FormBody:
    """A multipart body."""

    fields: Sequence[Field]


@dataclass(frozen=True)
class JsonBody:
    """A JSON object."""

    fields: Sequence[JsonField]
    required: tuple[str, ...] = ()
    others_ignored: bool = False  # unknown fields are accepted


@dataclass(frozen=True)
class Answer:
    """A successful response."""

    status: int
    description: str
    content: Any = None  # the type of a JSON body; None: no body, or one of `media_types`
    media_types: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()  # of RESPONSE_HEADERS, besides those of every response
    optional_headers: tuple[str, ...] = ()  # those that are not always sent


@dataclass(frozen=True)
class Operation:
    """A method of a path."""

    method: str
    path: str
    name: str  # `operationId`
    tag: str
    summary: str
    answers: tuple[Answer, ...]
    failures: tuple[Failure, ...] = ()  # besides those of every path
    headers: tuple[str, ...] = ()  # of REQUEST_HEADERS that have an effect here
    body: FormBody | JsonBody | None = None
    open: bool = False  # needs no key

    @property
    def query(self) -> Sequence[Field]:
        """Return the parameters of the query, by the table that they are checked by."""
        return QUERIES.get(self.path, ()) if self.method == "get" else ()
