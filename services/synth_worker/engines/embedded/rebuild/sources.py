"""The packages that the assets are made of, fetched through their ordinary clients and checked by SHA-256."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from services.common.audio.spectra import Floats

_PACKS: Final = "kokoro-js@1.2.1"
_PACKS_FILE: Final = "kokoro-js-1.2.1.tgz"
_PACKS_SHA256: Final = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
_ENCODER: Final = "Resemblyzer==0.1.4"
_ENCODER_FILE: Final = "Resemblyzer-0.1.4-py3-none-any.whl"
_ENCODER_SHA256: Final = "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f"


def voice_packs(folder: Path) -> dict[str, Floats]:
    """Return the 54 stock voices of Kokoro, name -> float32 [510, 256], from the npm package."""
    path = folder / _PACKS_FILE
    if not path.exists():
        subprocess.run(["npm", "pack", "--silent", _PACKS], cwd=folder, check=True)  # noqa: S603, S607
    _check(path, _PACKS_SHA256)
    packs = {}
    with tarfile.open(path) as archive:
        for member in sorted(archive.getmembers(), key=lambda one: one.name):
            if member.name.endswith(".bin") and (file := archive.extractfile(member)):
                packs[Path(member.name).stem] = np.frombuffer(file.read(), dtype="<f4").reshape(
                    510, 256
                )
    return packs


def encoder_checkpoint(folder: Path) -> Path:
    """Return the path of the GE2E checkpoint (a torch file) out of the Resemblyzer wheel."""
    wheel = folder / _ENCODER_FILE
    if not wheel.exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(folder),
            _ENCODER,
        ]
        subprocess.run(command, check=True)  # noqa: S603
    _check(wheel, _ENCODER_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract("resemblyzer/pretrained.pt", folder))


def _check(path: Path, sha256: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(
            f"{path.name} has SHA-256 {found}, not {sha256}: it is not the package that was pinned"
        )
