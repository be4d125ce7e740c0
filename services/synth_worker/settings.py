"""What an operator may set."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from services.common.runtime.service_process import ProcessSettings
from services.common.wire.messages import Loudness


class Settings(ProcessSettings, frozen=True, kw_only=True):
    """Environment variables of the same names in upper case, beside those of every process."""

    engine: Literal["embedded", "xtts", "tone"] = "embedded"
    model_cache: str = str(Path.home() / ".cache" / "voice-cloning-pipeline")  # folder for joined weights
    worker_slots: Annotated[int, Meta(ge=1, le=256)] = 2  # sentences at once on the standard lane
    worker_express_slots: Annotated[int, Meta(ge=1, le=256)] = 1  # and on the express lane
    worker_voices: Annotated[int, Meta(ge=1, le=10_000)] = 64  # kept in memory
    worker_threads: Annotated[int, Meta(ge=1, le=256)] = 2  # that the model computes with
    worker_step_timeout_s: Annotated[float, Meta(gt=0)] = 120.0  # a step that takes longer is a hung model
    worker_stop_s: Annotated[float, Meta(ge=0, le=3600)] = (
        60.0  # on SIGTERM: sentences that take longer are handed back
    )
    loudness_lufs: Loudness = -18.0  # of a request that asks for none
    device: Annotated[str, Meta(pattern=r"^(auto|cpu|cuda(:\d{1,2})?)\Z")] = "auto"  # of the xtts engine
    coqui_tos_agreed: bool = False  # whether the operator accepts the licence of the XTTS weights
    xtts_model_dir: str = ""  # folder with the weights; empty: from the hub, into HF_HOME
    xtts_revision: str = "main"  # of the weights on the hub
    xtts_precision: Literal["auto", "float32", "bfloat16", "int8"] = "auto"  # bfloat16 where the machine has it
    tone_real_time_factor: Annotated[float, Meta(ge=0)] = 0.0  # of the tone engine, to imitate a slow one
    tone_crash_word: str = ""  # of the tone engine, for tests: a sentence with this word kills the engine's process
    tone_hang_word: str = ""  # and one with this never ends
    worker_health_host: str = "127.0.0.1"
    worker_health_port: Annotated[int, Meta(ge=0, le=65535)] = 0  # 0: no health server

    @property
    def exit_s(self) -> float:
        """Return within how many seconds of SIGTERM the process has ended: the least grace that it needs."""
        return self.worker_stop_s + super().exit_s
