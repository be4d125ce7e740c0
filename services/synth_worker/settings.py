"""Settings of a worker."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from services.common.wire.fields import Loudness
from services.synth_worker.engines.registry import ENGINES, EngineSettings

if TYPE_CHECKING:
    EngineName = str
else:
    EngineName = Literal[tuple(ENGINES)]


class Settings(EngineSettings, frozen=True, kw_only=True):
    """Environment variables of the same names in upper case; those of the processes and engines are inherited."""

    engine: EngineName = "embedded"
    # folder for prepared weights
    model_cache: str = str(Path.home() / ".cache" / "voice-cloning-pipeline")
    # concurrent sentences on the standard lane
    worker_slots: Annotated[int, Meta(ge=1, le=256)] = 2
    # additional ones on the express lane
    worker_express_slots: Annotated[int, Meta(ge=1, le=256)] = 1
    worker_voices: Annotated[int, Meta(ge=1, le=10_000)] = 64  # cached in memory
    worker_threads: Annotated[int, Meta(ge=1, le=256)] = 2  # CPU threads of the model
    # the engine is killed if a step takes longer
    worker_step_timeout_s: Annotated[float, Meta(gt=0)] = 120.0
    worker_stop_s: Annotated[float, Meta(ge=0, le=3600)] = (
        60.0  # on SIGTERM: sentences that take longer are nak'ed
    )
    loudness_lufs: Loudness = -18.0  # for requests without one
    watermark: Literal["on", "off"] = "on"
    provenance: Literal["on", "off"] = "on"  # whether sentences are entered in TTS_PROVENANCE
    worker_health_host: str = "127.0.0.1"
    worker_health_port: Annotated[int, Meta(ge=0, le=65535)] = 0  # 0: no health server

    @property
    def exit_s(self) -> float:
        """Return the seconds from SIGTERM to the end of the process at most: the minimum grace period."""
        return self.worker_stop_s + super().exit_s
