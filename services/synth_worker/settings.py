"""What an operator may set."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from services.common.runtime.process import ProcessSettings


class Settings(ProcessSettings, frozen=True, kw_only=True):
    """Environment variables of the same names in upper case, beside those of every process."""

    engine: Literal["embedded", "tone"] = "embedded"
    model_cache: str = str(Path.home() / ".cache" / "voice-cloning-pipeline")  # folder for joined weights
    worker_slots: Annotated[int, Meta(ge=1, le=256)] = 2  # sentences at once on the standard lane
    worker_express_slots: Annotated[int, Meta(ge=1, le=256)] = 1  # and on the express lane
    worker_voices: Annotated[int, Meta(ge=1, le=10_000)] = 64  # kept in memory
    worker_threads: Annotated[int, Meta(ge=1, le=256)] = 2  # that the model computes with
    worker_step_timeout_s: Annotated[float, Meta(gt=0)] = 120.0  # a step that takes longer is a hung model
    tone_real_time_factor: Annotated[float, Meta(ge=0)] = 0.0  # of the tone engine, to imitate a slow one
    worker_health_host: str = "127.0.0.1"
    worker_health_port: Annotated[int, Meta(ge=0, le=65535)] = 0  # 0: no health server
