"""Specification of the XTTS engine."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from services.synth_worker.engines.protocol import Engine
from services.synth_worker.engines.spec import EngineEnvironment, EngineSpec, Progress, Resources
from services.synth_worker.engines.xtts.weights.location import (
    RELEASE,
    WeightSettings,
    find_weights,
)


class XttsEnvironment(EngineEnvironment, frozen=True, kw_only=True):
    """Settings of the XTTS engine."""

    device: Annotated[str, Meta(pattern=r"^(auto|cpu|cuda(:(0|[1-9]\d?))?)\Z")] = "auto"
    coqui_tos_agreed: bool = False  # the operator accepts the licence of the weights
    xtts_model_dir: str = ""  # folder with the weights; empty: download from the hub into HF_HOME
    xtts_revision: str = RELEASE  # of the weights on the hub: a commit, branch or tag
    # auto: bfloat16 if the processor has it
    xtts_precision: Literal["auto", "float32", "bfloat16", "int8"] = "auto"


def build(settings: XttsEnvironment, resources: Resources) -> Engine[Any, Any]:
    """Return the engine, not loaded yet. Raises EngineUnavailable if a package is missing."""
    from services.synth_worker.engines.xtts.engine import XttsEngine, XttsSettings  # noqa: PLC0415

    return XttsEngine(
        XttsSettings(
            weights=_weights(settings, resources),
            device=settings.device,
            precision=None if settings.xtts_precision == "auto" else settings.xtts_precision,
            threads=resources.threads,
            max_batch=resources.max_batch,
        )
    )


def prefetch(settings: XttsEnvironment, resources: Resources, progress: Progress) -> Path:
    """Return the folder with the weights, downloaded if necessary. Raises EngineUnavailable."""
    return find_weights(_weights(settings, resources), progress)


def _weights(settings: XttsEnvironment, resources: Resources) -> WeightSettings:
    return WeightSettings(
        model_dir=Path(settings.xtts_model_dir) if settings.xtts_model_dir else None,
        agreed=settings.coqui_tos_agreed,
        revision=settings.xtts_revision,
        records=resources.cache,
    )


ENGINE: Final = EngineSpec(name="xtts", settings=XttsEnvironment, build=build, prefetch=prefetch)
