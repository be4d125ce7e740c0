"""The query parameters of each path: checked before the handler runs, and listed by the OpenAPI document.

A parameter that a path does not have is refused, as it would be ignored in silence. Two kinds of paths accept any:
those that need no key, which probes, caches and monitoring add parameters to, and those of OpenAI's clients, some of
which add an API version.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from services.http_edge.auth.guard import is_open
from services.http_edge.errors import BadRequest
from services.http_edge.http.jobs.list_routes import QUERY as JOBS_QUERY
from services.http_edge.http.openai.openai_errors import PREFIX
from services.http_edge.intake.forms.form_fields import OUTPUT_FIELDS, Field
from services.http_edge.voices.listing import COMPUTED, LANGUAGE, QUERY, only_parameters

_METHODS: Final = (
    "GET",
    "HEAD",
    "DELETE",
    "PATCH",
    "PUT",
)  # readers of posted forms refuse a query themselves


def _read_byte(given: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", given):
        raise BadRequest("`from` must be the number of bytes already received, header included")
    return int(given)


def _read_sentence(given: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", given):
        raise BadRequest("`from` must be a zero-based sentence index")
    return int(given)


FROM_BYTE: Final = Field(
    "from",
    "bytes that were already received, header included; only 0 for formats other than wav and pcm",
    {"type": "integer", "minimum": 0, "maximum": 10**15 - 1, "default": 0},
    _read_byte,
    default=0,
)
FROM_SENTENCE: Final = Field(
    "from",
    "index of the first sentence",
    {"type": "integer", "minimum": 0, "maximum": 10**9 - 1, "default": 0},
    _read_sentence,
    default=0,
)


def _read_chapter(given: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", given):
        raise BadRequest("`chapter` must be a zero-based index of the job's chapters")
    return int(given)


CHAPTER: Final = Field(
    "chapter",
    "index of a chapter of a job that is done; default: the whole audio",
    {"type": "integer", "minimum": 0, "maximum": 9999},
    _read_chapter,
)
# of the paths in signed URLs (auth.signed_urls), which the guard has verified if there are API keys
SIGNATURE: Final = (
    Field(
        "expires",
        "of a signed URL: Unix seconds",
        {"type": "integer", "minimum": 0, "maximum": 10**12 - 1},
    ),
    Field("key", "of a signed URL: the name of the API key", {"type": "string", "minLength": 1}),
    Field(
        "signature",
        "of a signed URL, which `POST /signed-urls` returns",
        {"type": "string", "minLength": 1},
    ),
)
QUERIES: Final[Mapping[str, tuple[Field, ...]]] = MappingProxyType(
    {
        "/requests/{id}/audio": (FROM_BYTE, *OUTPUT_FIELDS, *SIGNATURE),
        "/requests/{id}/sentences": (FROM_SENTENCE, *SIGNATURE),
        "/requests/{id}/subtitles.{format}": SIGNATURE,
        "/jobs": JOBS_QUERY,
        "/jobs/{id}/audio": (CHAPTER, *OUTPUT_FIELDS, *SIGNATURE),
        "/jobs/{id}/book.{format}": SIGNATURE,
        "/jobs/{id}/events": SIGNATURE,
        "/jobs/{id}/sentences": (FROM_SENTENCE,),
        "/jobs/{id}/subtitles.{format}": SIGNATURE,
        "/voices": QUERY,
        "/voices/{voice}/export": (COMPUTED,),
        "/voices/{voice}/preview": (LANGUAGE,),
    }
)


def checked_queries() -> Middleware:
    """Return the middleware that refuses unknown and repeated parameters. Raises BadRequest."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        resource = request.match_info.route.resource
        checked = request.method in _METHODS and not is_open(request)
        if request.query and resource is not None and checked:
            path = resource.canonical
            if not path.startswith(PREFIX):
                known = [entry.name for entry in QUERIES.get(path, ())]
                only_parameters(list(request.query.items()), known)
        return await handler(request)

    return check
