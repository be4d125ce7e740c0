"""`python -m services.synth_worker.engines.embedded FOLDER`: join the weights now, not at the first start.

Prepares the files of both runtimes: the processor that will run them can be another one.
"""

import sys
from pathlib import Path

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.embedded.engine import EmbeddedEngine, EmbeddedSettings
from services.synth_worker.engines.embedded.rendering.graph import RUNTIMES, cut_graphs


def main() -> None:
    """Prepare the files, and load the engine once."""
    folder = Path(sys.argv[1])
    engine = EmbeddedEngine(EmbeddedSettings(cache=folder))
    try:
        for runtime in RUNTIMES:
            cut_graphs(folder, runtime)
        engine.load()
    except EngineUnavailable as error:
        sys.exit(f"embedded: {error}")
    engine.close()


if __name__ == "__main__":
    main()
