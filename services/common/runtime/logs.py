"""Logs: one event with fields per line, as JSON, on stdout. Never a text, a voice or a secret."""

import logging
import sys
import traceback
from typing import Final

import structlog

_LOGGED_FRAMES: Final = 8  # of the traceback of an unexpected exception
# asyncio warns of this at the end of each TLS connection to NATS: nats-py 2.16 passes a stream's protocol to
# `start_tls`, which does not tell it that it is above TLS, so its `eof_received` returns true. The connection is
# closed anyway, as we and nats-py expect.
_NO_NEWS: Final = "returning true from eof_received() has no effect when using ssl"


def places_of(error: BaseException) -> list[str]:
    """Return where an exception was raised, innermost last, without its message, which may contain a text."""
    frames = traceback.extract_tb(error.__traceback__)[-_LOGGED_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def _add_severity(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Add the level in capitals, for log searches for ERROR."""
    event["severity"] = event["level"].upper()
    return event


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether an event of a library is of use to an operator."""
    return not (record.name == "asyncio" and record.msg == _NO_NEWS)


def configure_logs(service: str, *, level: str = "info", readable: bool = False) -> None:
    """Send every event of this process to stdout: JSON, or aligned text when `readable`."""
    numeric_level = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=False)
        if readable
        else structlog.processors.JSONRenderer()
    )
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        *([] if readable else [_add_severity]),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(numeric_level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # Libraries log through the standard library; only their warnings are useful to an operator.
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_is_news)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
