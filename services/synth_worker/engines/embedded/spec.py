"""Specification of the embedded engine."""

from typing import Any, Final, Literal

from services.synth_worker.engines.protocol import Engine
from services.synth_worker.engines.spec import EngineEnvironment, EngineSpec, Resources


class EmbeddedEnvironment(EngineEnvironment, frozen=True, kw_only=True):
    """Settings of the embedded engine."""

    # auto: openvino if the processor has 8-bit dot products
    embedded_runtime: Literal["auto", "onnxruntime", "openvino"] = "auto"


def build(settings: EmbeddedEnvironment, resources: Resources) -> Engine[Any, Any]:
    """Return the engine, not loaded yet."""
    from services.synth_worker.engines.embedded.engine import EmbeddedEngine, EmbeddedSettings  # noqa: PLC0415

    return EmbeddedEngine(
        EmbeddedSettings(
            cache=resources.cache,
            threads=resources.threads,
            runtime=None if settings.embedded_runtime == "auto" else settings.embedded_runtime,
        )
    )


ENGINE: Final = EngineSpec(name="embedded", settings=EmbeddedEnvironment, build=build)
