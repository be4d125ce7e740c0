"""Digests of everything a spoken sentence depends on, so that a rerun speaks only the sentences that would change."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_REPOSITORY: Final = Path(__file__).parents[2]
_ENGINE: Final = _REPOSITORY / "services" / "synth_worker" / "engines" / "embedded"
# The g2p is named by the phonemes that it gives, and `rebuild` by the assets that it makes.
_ELSEWHERE: Final = frozenset({"g2p", "rebuild", "__pycache__"})
_STOCK_PARTS: Final = (
    "rendering/graph.py",
    "voices/styles.py",
    "rendering/tokens.py",
    "weights.py",
    "assets/stock_voices.npz",
)


def clone_build() -> str:
    """Name the sources and assets that shape a cloned sentence, given its phonemes."""
    return _digest([*_engine_files(), _REPOSITORY / "services/common/audio/clip.py"])


def stock_build() -> str:
    """Name the sources and assets that shape a stock voice's sentence, given its phonemes."""
    return _digest(
        [*(_ENGINE / part for part in _STOCK_PARTS), Path(__file__).with_name("stock.py")]
    )


def key(*parts: str | bytes) -> str:
    """Name a combination of parts."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:20]


def _engine_files() -> Iterator[Path]:
    for path in sorted(_ENGINE.rglob("*")):
        if path.is_file() and not _ELSEWHERE.intersection(path.relative_to(_ENGINE).parts):
            yield path


def _digest(paths: list[Path]) -> str:
    return key(
        *(
            part
            for path in paths
            for part in (path.relative_to(_REPOSITORY).as_posix(), path.read_bytes())
        )
    )
