"""Specification of the embedded engine."""

from typing import Any, Final

from services.synth_worker.engines.protocol import Engine
from services.synth_worker.engines.spec import EngineEnvironment, EngineSpec, Resources


def build(_settings: EngineEnvironment, resources: Resources) -> Engine[Any, Any]:
    """Return the engine, not loaded yet."""
    from services.synth_worker.engines.embedded.engine import EmbeddedEngine, EmbeddedSettings  # noqa: PLC0415

    return EmbeddedEngine(EmbeddedSettings(cache=resources.cache, threads=resources.threads))


ENGINE: Final = EngineSpec(name="embedded", settings=EngineEnvironment, build=build)
