"""Settings of a worker."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from services.common.runtime.service_process import ProcessSettings
from services.common.wire.messages import Loudness


class Settings(ProcessSettings, frozen=True, kw_only=True):
    """Environment variables of the same names in upper case, in addition to those of every process."""

    engine: Literal["embedded", "xtts", "tone"] = "embedded"
    model_cache: str = str(Path.home() / ".cache" / "voice-cloning-pipeline")  # folder for prepared weights
    worker_slots: Annotated[int, Meta(ge=1, le=256)] = 2  # concurrent sentences on the standard lane
    worker_express_slots: Annotated[int, Meta(ge=1, le=256)] = 1  # additional ones on the express lane
    worker_voices: Annotated[int, Meta(ge=1, le=10_000)] = 64  # cached in memory
    worker_threads: Annotated[int, Meta(ge=1, le=256)] = 2  # CPU threads of the model
    worker_step_timeout_s: Annotated[float, Meta(gt=0)] = 120.0  # the engine is killed if a step takes longer
    worker_stop_s: Annotated[float, Meta(ge=0, le=3600)] = 60.0  # on SIGTERM: sentences that take longer are nak'ed
    loudness_lufs: Loudness = -18.0  # for requests without one
    device: Annotated[str, Meta(pattern=r"^(auto|cpu|cuda(:\d{1,2})?)\Z")] = "auto"  # of the xtts engine
    coqui_tos_agreed: bool = False  # the operator accepts the licence of the XTTS weights
    xtts_model_dir: str = ""  # folder with the weights; empty: download from the hub into HF_HOME
    xtts_revision: str = "main"  # of the weights on the hub
    xtts_precision: Literal["auto", "float32", "bfloat16", "int8"] = (
        "auto"  # auto: bfloat16 if the processor supports it
    )
    tone_real_time_factor: Annotated[float, Meta(ge=0)] = 0.0  # of the tone engine: slows it down
    tone_crash_word: str = ""  # for tests: a sentence with this word crashes the tone engine
    tone_hang_word: str = ""  # for tests: a sentence with this word hangs it
    worker_health_host: str = "127.0.0.1"
    worker_health_port: Annotated[int, Meta(ge=0, le=65535)] = 0  # 0: no health server

    @property
    def exit_s(self) -> float:
        """Return the seconds from SIGTERM to the end of the process at most: the minimum grace period."""
        return self.worker_stop_s + super().exit_s
