"""The operations of the service itself: state, documents and metrics. They need no key."""

from typing import Any, Final

from services.http_edge.api_document.operation import Answer, Operation
from services.http_edge.http import bodies

_HTML: Final = "text/html"
_JAVASCRIPT: Final = "text/javascript"


def _get(path: str, name: str, summary: str, *answers: Answer) -> Operation:
    return Operation("get", path, name, "service", summary, answers, open=True)


def _json(description: str, content: Any) -> Answer:
    return Answer(200, description, content)


OPERATIONS: Final = (
    _get(
        "/",
        "about",
        "Describe the service: JSON, or a page for browsers",
        Answer(200, "the service", bodies.About, media_types=(_HTML,)),
    ),
    _get(
        "/health",
        "health",
        "Return the state of the service, always with 200; health checks use /readyz",
        _json("the state", bodies.Health),
    ),
    _get(
        "/livez",
        "livez",
        "Return whether the process runs",
        _json("it runs", bodies.Alive),
    ),
    _get(
        "/readyz",
        "readyz",
        "Return whether NATS, a splitter and a worker are available",
        _json("requests can be served", bodies.Readiness),
        Answer(503, "requests cannot be served now", bodies.Readiness),
    ),
    _get(
        "/languages",
        "languages",
        "List the languages",
        _json("the languages", bodies.Languages),
    ),
    _get(
        "/metrics",
        "metrics",
        "Return metrics for Prometheus",
        Answer(200, "the metrics", media_types=("text/plain", "application/openmetrics-text")),
    ),
    _get(
        "/openapi.json",
        "openapi",
        "Return this document",
        Answer(200, "the document", dict[str, Any], headers=("ETag",)),
        Answer(304, "the client has this document", headers=("ETag",)),
    ),
    _get(
        "/docs",
        "docs",
        "Show this document as a page",
        Answer(200, "the page", media_types=(_HTML,)),
    ),
    Operation(
        "get",
        "/docs/{file}",
        "docsFile",
        "service",
        "Return a file of the page",
        (
            Answer(200, "the file", media_types=(_JAVASCRIPT, "text/css"), headers=("ETag",)),
            Answer(304, "the client has this file", headers=("ETag",)),
        ),
        (404,),
        ("If-None-Match",),
        open=True,
    ),
)
