"""Locates the weights: in the operator's folder, in the hub's cache, or, if in neither, on the hub.

Nothing is searched before the operator has accepted the licence. Existing files are used without any
network request. `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` have their huggingface_hub
meaning, which reads them when it is imported.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from services.common.wire.failures import EngineUnavailable

log = structlog.get_logger()

MODEL: Final = "model.pth"
FILES: Final = ("config.json", "vocab.json", MODEL)
# Names of coqui's trainer, the preferred ones first. Of several steps the last counts.
_TRAINED: Final = (
    re.compile(r"best_model()\.pth"),
    re.compile(r"best_model_(\d+)\.pth"),
    re.compile(r"checkpoint_(\d+)\.pth"),
)
SPEAKERS: Final = "speakers_xtts.pth"  # the built-in voices; optional
CHECKSUMS: Final = "SHA256SUMS"  # optional in an operator's folder, in the format of sha256sum(1)
RELEASE: Final = "6c2b0d75eae4b7047358e3b6bd9325f857d43f77"  # commit of XTTS-v2 2.0.3 on the hub
RELEASE_SHA256: Final = (
    "c7ea20001c6a0a841c77e252d8409f6a74fb423e79b3206a0771ba5989776187"  # of its model.pth
)
_LICENCE: Final = (
    "the XTTS-v2 weights are under the Coqui Public Model License 1.0, which allows non-commercial use only, of the "
    "model and of its output; read it at https://coqui.ai/cpml (or LICENSE.txt next to the weights); if you accept "
    "it, set COQUI_TOS_AGREED=1; until then nothing is fetched or loaded"
)

Tell = Callable[[str], None]  # accepts a short progress message for people


def _default_records() -> Path:
    return Path.home() / ".cache" / "voice-cloning-pipeline"


@dataclass(frozen=True)
class WeightSettings:
    """The location of the weights, and whether the operator may use them."""

    # a folder with FILES, verified if it has CHECKSUMS; None: the hub's cache, then the hub
    model_dir: Path | None
    agreed: bool  # whether the operator accepts the licence
    repository: str = "coqui/XTTS-v2"
    revision: str = "main"  # a branch, tag or commit
    # folder that records which files were verified
    records: Path = field(default_factory=_default_records)


def find_weights(settings: WeightSettings, tell: Tell = lambda _: None) -> Path:
    """Return a folder that holds FILES, and SPEAKERS if the release has it; it is treated as read-only.

    `tell` is called with the progress of slow steps. Raises EngineUnavailable, with advice.
    """
    if not settings.agreed:
        raise EngineUnavailable(_LICENCE)
    if settings.model_dir is not None:
        return _operators_folder(settings.model_dir)
    try:
        from services.synth_worker.engines.xtts.weights import hub  # noqa: PLC0415  # a folder needs no hub
    except ModuleNotFoundError as error:
        raise EngineUnavailable(
            "huggingface_hub is not installed; run `./task setup:xtts` or `pip install '.[xtts]'`, or set "
            "XTTS_MODEL_DIR to a folder with the released files"
        ) from error
    source = hub.HubRevision(settings.repository, settings.revision)
    folder = hub.cached_folder(source, FILES)
    if folder is None:
        folder = hub.fetched_folder(source, FILES, settings.records, tell, optional=(SPEAKERS,))
    for name in (*FILES, SPEAKERS):
        if (folder / name).is_file():
            hub.check_once(folder / name, settings.records, tell)
            hub.check_small(folder / name)
    return folder


def model_path(folder: Path) -> Path:
    """Return the path of a folder's weights: `model.pth`, or the checkpoint of a trainer if that is missing."""
    if (folder / MODEL).is_file() or not folder.is_dir():
        return folder / MODEL
    names = [path.name for path in folder.iterdir() if path.is_file()]
    for pattern in _TRAINED:
        matches = [match for match in map(pattern.fullmatch, names) if match]
        if matches:
            return folder / max(matches, key=lambda match: int(match[1] or 0))[0]
    return folder / MODEL


def _operators_folder(folder: Path) -> Path:
    model = model_path(folder)
    names = (*(name for name in FILES if name != MODEL), model.name)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise EngineUnavailable(
            f"XTTS_MODEL_DIR is {folder}, which lacks {', '.join(missing)}; set it to a folder with the files of "
            "coqui/XTTS-v2, or of a fine-tuned model (best_model.pth or checkpoint_STEP.pth, and the vocab.json that "
            "it was trained with), or leave it empty to have them fetched"
        )
    if model.name != MODEL:
        log.info("trained_weights_chosen", model=model.name)
    if (folder / CHECKSUMS).is_file():
        _require_sums(folder, names)
    else:
        log.warning("weights_unverified", folder=str(folder), missing=CHECKSUMS)
    return folder


def _require_sums(folder: Path, names: Sequence[str]) -> None:
    """Check the files that the operator recorded. Raises EngineUnavailable for one that has changed."""
    for line in (folder / CHECKSUMS).read_text("utf-8", "replace").splitlines():
        digest, _, name = line.partition(" ")
        name = name.strip().removeprefix("*")
        if name not in {*names, SPEAKERS}:
            continue
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest:
            raise EngineUnavailable(
                f"{folder / name} is damaged: its SHA-256 is not the one in {CHECKSUMS} next to it; copy it again, or "
                f"record its new one with `sha256sum {' '.join(names)} > {CHECKSUMS}`"
            )
