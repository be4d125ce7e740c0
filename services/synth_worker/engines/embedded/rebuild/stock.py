"""The assets that need no training: stock styles, the style space and the speaker encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch

from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded.voices.styles import STOCK_NAMES, TIMBRE

ROWS: Final = 256  # the engine's parts have fewer tokens than that
_TYPICAL: Final = slice(30, 120)  # rows whose mean stands for a voice
TIMBRE_COORDINATES: Final = 40
PROSODY_COORDINATES: Final = 16


def stock_arrays(packs: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the packs that the languages need, name -> [256, 256]."""
    return {name: packs[name][:ROWS] for name in STOCK_NAMES}


def style_space(packs: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the space in which voices are searched.

    Every half of a style is mean + coordinates @ axes, with axes scaled so that the stock voices have unit variance:
    `timbre_mean` [128], `timbre_axes` [40, 128], `prosody_mean` [128], `prosody_axes` [16, 128], and where the 54
    stock voices lie, `timbre_stock` [54, 40] and `prosody_stock` [54, 16].
    """
    means = np.stack([packs[name][_TYPICAL].mean(axis=0) for name in sorted(packs)])
    space: dict[str, Floats] = {}
    halves = (
        ("timbre", means[:, :TIMBRE], TIMBRE_COORDINATES),
        ("prosody", means[:, TIMBRE:], PROSODY_COORDINATES),
    )
    for name, half, count in halves:
        space |= {f"{name}_{part}": value for part, value in _principal(half, count).items()}
    return space


def _principal(points: Floats, count: int) -> dict[str, Floats]:
    mean = points.mean(axis=0)
    _, _, directions = np.linalg.svd((points - mean).astype(np.float64), full_matrices=False)
    directions = directions[:count]
    # The sign of a singular vector is the library's choice: fix it, so that a rebuild elsewhere gives the same axes.
    directions *= np.sign(directions[np.arange(count), np.abs(directions).argmax(axis=1)])[:, None]
    coordinates = (points - mean) @ directions.T
    spread = coordinates.std(axis=0)
    found = {"mean": mean, "axes": directions * spread[:, None], "stock": coordinates / spread}
    return {name: value.astype(np.float32) for name, value in found.items()}


def encoder_arrays(checkpoint: Path) -> dict[str, Floats]:
    """Return the GE2E weights in the layout of SpeakerEncoder."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["model_state"]
    arrays = {"projection": state["linear.weight"].T, "projection_bias": state["linear.bias"]}
    for layer in range(3):
        arrays[f"input.{layer}"] = state[f"lstm.weight_ih_l{layer}"].T
        arrays[f"hidden.{layer}"] = state[f"lstm.weight_hh_l{layer}"].T
        arrays[f"bias.{layer}"] = state[f"lstm.bias_ih_l{layer}"] + state[f"lstm.bias_hh_l{layer}"]
    return {name: np.ascontiguousarray(value.numpy()) for name, value in arrays.items()}
