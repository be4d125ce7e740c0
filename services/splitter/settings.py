"""The splitter's settings."""

from typing import Annotated

from msgspec import Meta

from services.common.runtime.service_process import ProcessSettings


class Settings(ProcessSettings, frozen=True, kw_only=True):
    """Environment variables of the same names in upper case, in addition to those of every
    process."""

    splitter_requests: Annotated[int, Meta(ge=1, le=10_000)] = 256  # held at once
    # sentences queued or in flight per worker slot
    splitter_ahead: Annotated[float, Meta(ge=1, le=100)] = 1.0
    splitter_health_host: str = "127.0.0.1"
    splitter_health_port: Annotated[int, Meta(ge=0, le=65535)] = 0  # 0: no health server
