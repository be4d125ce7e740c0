"""`python -m services.synth_worker.engines.embedded FOLDER`: join the weights now, not at the first start."""

import sys
from pathlib import Path

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.embedded.engine import EmbeddedEngine, EmbeddedSettings


def main() -> None:
    """Load the engine once."""
    engine = EmbeddedEngine(EmbeddedSettings(cache=Path(sys.argv[1])))
    try:
        engine.load()
    except EngineUnavailable as error:
        sys.exit(f"embedded: {error}")
    engine.close()


if __name__ == "__main__":
    main()
