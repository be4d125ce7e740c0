"""Keeps what has been measured, by content, so that a rerun measures only what changed."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.quality.encoders import Vector
from benchmarks.quality.references import Samples


class Memory:
    """A folder of small files named by what they depend on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def text(self, kind: str, samples: Samples, detail: str, measure: Callable[[], str]) -> str:
        """Recall a text about these samples, or measure and keep it."""
        path = self._path(kind, samples, detail).with_suffix(".txt")
        if not path.exists():
            self._keep(path, measure().encode())
        return path.read_text(encoding="utf-8")

    def figures(
        self, kind: str, samples: Samples, measure: Callable[[], dict[str, float]]
    ) -> dict[str, float]:
        """Recall named figures about these samples, or measure and keep them."""
        found: dict[str, float] = json.loads(
            self.text(kind, samples, "", lambda: json.dumps(measure()))
        )
        return found

    def vector(self, kind: str, samples: Samples, measure: Callable[[], Vector]) -> Vector:
        """Recall an embedding of these samples, or measure and keep it."""
        path = self._path(kind, samples, "").with_suffix(".f4")
        if not path.exists():
            self._keep(path, measure().astype("<f4").tobytes())
        return np.frombuffer(path.read_bytes(), "<f4")

    def _keep(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all: a run may be stopped, and two may share the folder."""
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as file:
            file.write(content)
        Path(file.name).rename(path)

    def _path(self, kind: str, samples: Samples, detail: str) -> Path:
        key = hashlib.sha256(samples.tobytes() + detail.encode()).hexdigest()[:24]
        return self._folder / f"{kind}-{key}"
