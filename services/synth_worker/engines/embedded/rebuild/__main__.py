"""Rebuilds `assets/`: `python -m services.synth_worker.engines.embedded.rebuild [--work FOLDER]`.

Needs the extra `rebuild` (torch) and npm. Takes two to three hours on one core, most of it to speak the readings and
the training clips, which are cached in the work folder. The files come out equal up to the rounding of the training;
the vocabulary is not remade. `--stock` makes only the stock voices and their pitch, after a change of `STOCK_VOICES`,
in two minutes.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from services.common.audio import speaker_encoder
from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.g2p import VOCABULARY, Phonemizer
from services.synth_worker.engines.embedded.rebuild import (
    calibration,
    clips,
    levels,
    ranges,
    sources,
    statistics,
    stock,
    training,
)
from services.synth_worker.engines.embedded.rendering.kokoro import Kokoro
from services.synth_worker.engines.embedded.voices.styles import StockStyles

_FOLDER = Path(__file__).parent.parent / "assets"
_ENCODER_FILE = Path(speaker_encoder.__file__).parent / "assets" / speaker_encoder.WEIGHTS


def main() -> None:
    """Make every asset, in the order in which they need each other."""
    parser = argparse.ArgumentParser(prog="rebuild", description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "voice-cloning-rebuild"
    )
    parser.add_argument(
        "--stock", action="store_true", help="make only the stock voices and their pitch"
    )
    chosen = parser.parse_args()
    work: Path = chosen.work
    work.mkdir(parents=True, exist_ok=True)
    packs = sources.voice_packs(work)
    _save(_FOLDER / assets.STOCK_VOICES, stock.stock_arrays(packs), np.float16)
    _record_checksums()
    with threadpool_limits(1, user_api="blas"):
        # OpenVINO's form needs the ranges, which are made here
        kokoro = Kokoro(work, threads=1, runtime="onnxruntime")
        _make_stock_pitch(kokoro)
        if not chosen.stock:
            _make_others(kokoro, packs, work)
    _record_checksums()


def _make_others(kokoro: Kokoro, packs: Mapping[str, Floats], work: Path) -> None:
    space = stock.style_space(packs)
    encoder = stock.encoder_arrays(sources.encoder_checkpoint(work))
    _save(_ENCODER_FILE, encoder, np.float16)
    _save(_FOLDER / assets.STYLE_SPACE, space, np.float32)
    _record_checksums()
    _make_activation_ranges(kokoro, work, space)
    _make_statistics(kokoro, work, space)
    kokoro = Kokoro(work, threads=1, runtime="onnxruntime")  # with the new statistics
    _make_levels(kokoro, work, space)
    pairs = clips.training_pairs(_speakers(kokoro, space), VOCABULARY, work / "clips")
    _save(_FOLDER / assets.TUNER, training.trained_arrays(pairs), np.float16)


@contextmanager
def _loaded_phonemizer() -> Iterator[Phonemizer]:
    with closing(Phonemizer()) as phonemizer:
        phonemizer.load()
        yield phonemizer


def _make_stock_pitch(kokoro: Kokoro) -> None:
    styles = StockStyles(assets.load_arrays(assets.STOCK_VOICES))
    with _loaded_phonemizer() as phonemizer:
        table = calibration.stock_pitch(kokoro, phonemizer, styles)
    (_FOLDER / assets.STOCK_PITCH).write_text(json.dumps(table, indent=1) + "\n", encoding="ascii")


def _make_statistics(kokoro: Kokoro, work: Path, space: Mapping[str, Floats]) -> None:
    with _loaded_phonemizer() as phonemizer:
        arrays = statistics.statistics_arrays(kokoro, phonemizer, work, space, work / "statistics")
    _save(_FOLDER / assets.STATISTICS, arrays)
    _record_checksums()


def _make_levels(kokoro: Kokoro, work: Path, space: Mapping[str, Floats]) -> None:
    with _loaded_phonemizer() as phonemizer:
        arrays = levels.level_arrays(kokoro, phonemizer, space, work / "levels")
    _save(_FOLDER / assets.LEVELS, arrays)
    _record_checksums()


def _make_activation_ranges(kokoro: Kokoro, work: Path, space: Mapping[str, Floats]) -> None:
    with _loaded_phonemizer() as phonemizer:
        table = ranges.activation_ranges(kokoro, phonemizer, work, space)
    lines = (f"{json.dumps(name)}: {json.dumps(values)}" for name, values in sorted(table.items()))
    content = ",\n".join(lines)
    (_FOLDER / assets.ACTIVATION_RANGES).write_text(f"{{\n{content}\n}}\n", encoding="ascii")
    _record_checksums()


def _speakers(kokoro: Kokoro, space: dict[str, Floats]) -> clips.Speakers:
    return clips.Speakers(kokoro, assets.load_speaker_encoder(), space)


def _save(
    file: Path,
    arrays: Mapping[str, NDArray[np.floating[Any]]],
    kind: type[np.floating[Any]] | None = None,
) -> None:
    np.savez_compressed(
        file,
        allow_pickle=False,
        **{key: value.astype(kind or value.dtype) for key, value in arrays.items()},
    )


def _record_checksums() -> None:
    for folder in (_FOLDER, _ENCODER_FILE.parent):
        names = sorted(path.name for path in folder.iterdir() if path.suffix in {".npz", ".json"})
        lines = [
            f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
            for name in names
        ]
        (folder / assets.CHECKSUMS).write_text("".join(lines), encoding="ascii")


if __name__ == "__main__":
    main()
