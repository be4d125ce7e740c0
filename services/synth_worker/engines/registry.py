"""The engines that a worker can run. A new engine is registered here and nowhere else in the worker.

docs/extending.md lists the deployment files that belong to an engine.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.common.runtime.service_process import ProcessSettings
from services.synth_worker.engines.embedded import spec as embedded
from services.synth_worker.engines.spec import EngineSpec
from services.synth_worker.engines.tone import ENGINE as TONE
from services.synth_worker.engines.tone import ToneEnvironment
from services.synth_worker.engines.xtts import spec as xtts

ENGINES: Final[Mapping[str, EngineSpec[Any]]] = {
    spec.name: spec
    for spec in (
        embedded.ENGINE,
        xtts.ENGINE,
        TONE,
    )
}


if TYPE_CHECKING:

    class EngineSettings(
        embedded.EmbeddedEnvironment,
        xtts.XttsEnvironment,
        ToneEnvironment,
        ProcessSettings,
        frozen=True,
        kw_only=True,
    ):
        """Settings of every process and of all engines."""

else:  # the same from the registry, as msgspec does not support two base classes with fields
    EngineSettings = msgspec.defstruct(
        "EngineSettings",
        [
            (field.name, field.type, field.default)
            for spec in ENGINES.values()
            for field in msgspec.structs.fields(spec.settings)
        ],
        bases=(ProcessSettings,),
        module=__name__,
        frozen=True,
        kw_only=True,
    )
