"""The fingerprint of a checkpoint, which is part of the engine's version."""

import hashlib
import os
from pathlib import Path
from typing import Final

from services.synth_worker.engines.xtts.weights.location import model_path

_DIRECTORY_BYTES: Final = 1 << 18


def fingerprint(folder: Path) -> str:
    """Return a checkpoint's fingerprint: of its configuration, vocabulary, and the end of its weights, where
    a zip file stores checksums."""
    digest = hashlib.sha256()
    for name in ("config.json", "vocab.json"):
        digest.update((folder / name).read_bytes())
    model = model_path(folder)
    with model.open("rb") as weights:
        weights.seek(-min(_DIRECTORY_BYTES, model.stat().st_size), os.SEEK_END)
        digest.update(weights.read())
    return digest.hexdigest()[:12]
