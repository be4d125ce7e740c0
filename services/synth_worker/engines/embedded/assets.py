"""The engine's small data files, read and checked."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from io import BytesIO
from typing import Final

import numpy as np

from services.common.audio.speaker_encoder import SpeakerEncoder
from services.common.audio.spectra import Floats
from services.common.wire.failures import EngineUnavailable

STOCK_VOICES: Final = "stock_voices.npz"
STYLE_SPACE: Final = "style_space.npz"
TUNER: Final = "tuner.npz"
STOCK_PITCH: Final = "stock_pitch.json"
VOCABULARY: Final = "vocabulary.json"
ACTIVATION_RANGES: Final = "activation_ranges.json"
STATISTICS: Final = "statistics.npz"
LEVELS: Final = "levels.npz"
CHECKSUMS: Final = "SHA256SUMS"  # in the format of sha256sum(1)


def folder() -> Traversable:
    """Return the folder of the files."""
    return resources.files(__package__) / "assets"


def checksums() -> Mapping[str, str]:
    """File name -> SHA-256, as recorded when the assets were made."""
    lines = (folder() / CHECKSUMS).read_text(encoding="ascii").split("\n")
    pairs = (line.split() for line in lines if line)
    return {name: digest for digest, name in pairs}


def load_arrays(name: str) -> dict[str, Floats]:
    """Read one of the `.npz` files: array name -> float32.

    Raises EngineUnavailable where the file is not the one that was recorded.
    """
    with np.load(BytesIO(_content(name)), allow_pickle=False) as arrays:
        return {key: arrays[key].astype(np.float32) for key in arrays.files}


def load_speaker_encoder() -> SpeakerEncoder:
    """Read the encoder, which the edge uses too.

    Raises EngineUnavailable where its file is not the one that was recorded.
    """
    try:
        return SpeakerEncoder.bundled()
    except ValueError as error:
        raise EngineUnavailable(f"the embedded engine cannot start: {error}") from None


def load_stock_pitch() -> Mapping[str, Mapping[str, float]]:
    """Language -> stock voice -> the median pitch in Hz at which it speaks that language.

    Raises EngineUnavailable where the file is not the one that was recorded.
    """
    table: Mapping[str, Mapping[str, float]] = json.loads(_content(STOCK_PITCH))
    return table


def load_activation_ranges() -> Mapping[str, tuple[float, int]]:
    """Convolution -> scale and zero point of its input as uint8.

    Raises EngineUnavailable where the file is not the one that was recorded.
    """
    table: Mapping[str, Sequence[float]] = json.loads(_content(ACTIVATION_RANGES))
    return {name: (float(scale), int(zero)) for name, (scale, zero) in table.items()}


def check_vocabulary() -> None:
    """Raise EngineUnavailable where the table of symbols, read when it is imported, is not the one recorded."""
    _content(VOCABULARY)


def _content(name: str) -> bytes:
    content = (folder() / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != checksums()[name]:
        raise EngineUnavailable(
            f"the embedded engine's file {name} is damaged; install the service again"
        )
    return content
