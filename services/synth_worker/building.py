"""Builds the engine that the settings select, and prefetches its weights."""

from pathlib import Path
from typing import Any

import msgspec

from services.synth_worker.engines.protocol import Engine
from services.synth_worker.engines.registry import ENGINES
from services.synth_worker.engines.spec import EngineEnvironment, EngineSpec, Progress, Resources
from services.synth_worker.settings import Settings


def build_engine(settings: Settings) -> Engine[Any, Any]:
    """Return the selected engine, not loaded yet. Raises EngineUnavailable if a package for it is missing."""
    spec = ENGINES[settings.engine]
    return spec.build(_settings_for(spec, settings), _resources(settings))


def prefetch_weights(settings: Settings, progress: Progress) -> Path | None:
    """Return the folder with the engine's weights, downloaded if necessary; None if the engine bundles them.

    Raises EngineUnavailable, with what to do.
    """
    spec = ENGINES[settings.engine]
    if spec.prefetch is None:
        return None
    return spec.prefetch(_settings_for(spec, settings), _resources(settings), progress)


def _settings_for(spec: EngineSpec[Any], settings: Settings) -> EngineEnvironment:
    """Return the engine's own settings."""
    own: EngineEnvironment = msgspec.convert(settings, spec.settings, from_attributes=True)
    return own


def _resources(settings: Settings) -> Resources:
    return Resources(
        cache=Path(settings.model_cache),
        threads=settings.worker_threads,
        max_batch=settings.worker_slots + settings.worker_express_slots,
    )
