"""What an operator may set."""

from typing import Annotated

from msgspec import Meta

from services.common.runtime.process import ProcessSettings


class Settings(ProcessSettings, frozen=True, kw_only=True):
    """Environment variables of the same names in upper case, beside those of every process."""

    splitter_requests: Annotated[int, Meta(ge=1, le=10_000)] = 256  # held at once
    splitter_window: Annotated[int, Meta(ge=1, le=1000)] = 8  # sentences of one request in the queue at once
    splitter_health_host: str = "127.0.0.1"
    splitter_health_port: Annotated[int, Meta(ge=0, le=65535)] = 0  # 0: no health server
