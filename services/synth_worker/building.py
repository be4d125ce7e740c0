"""From settings to an engine. An engine's module is imported only where it is used."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from services.synth_worker.engines.protocol import Engine
from services.synth_worker.settings import Settings

if TYPE_CHECKING:
    from services.synth_worker.engines.xtts.weights.location import WeightSettings


def build_engine(settings: Settings) -> Engine[Any, Any]:
    """Return the engine of the settings, not loaded. Raises EngineUnavailable where a package for it is missing."""
    if settings.engine == "tone":
        from services.synth_worker.engines.tone import ToneEngine  # noqa: PLC0415

        return ToneEngine(
            real_time_factor=settings.tone_real_time_factor,
            crash_word=settings.tone_crash_word,
            hang_word=settings.tone_hang_word,
        )
    if settings.engine == "xtts":
        return _xtts(settings)
    from services.synth_worker.engines.embedded.engine import EmbeddedEngine, EmbeddedSettings  # noqa: PLC0415

    return EmbeddedEngine(EmbeddedSettings(cache=Path(settings.model_cache), threads=settings.worker_threads))


def weight_settings(settings: Settings) -> "WeightSettings":
    """Return which weights XTTS takes, and whether it may."""
    from services.synth_worker.engines.xtts.weights.location import WeightSettings  # noqa: PLC0415

    return WeightSettings(
        model_dir=Path(settings.xtts_model_dir) if settings.xtts_model_dir else None,
        agreed=settings.coqui_tos_agreed,
        revision=settings.xtts_revision,
        records=Path(settings.model_cache),
    )


def _xtts(settings: Settings) -> Engine[Any, Any]:
    from services.synth_worker.engines.xtts.engine import XttsEngine, XttsSettings  # noqa: PLC0415

    return XttsEngine(
        XttsSettings(
            weights=weight_settings(settings),
            device=settings.device,
            precision=None if settings.xtts_precision == "auto" else settings.xtts_precision,
            threads=settings.worker_threads,
            max_batch=settings.worker_slots + settings.worker_express_slots,
        )
    )
