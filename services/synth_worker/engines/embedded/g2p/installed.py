"""Models and dictionaries in installed packages, checked against the hashes that the installer recorded."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import MappingProxyType
from typing import Final

from services.common.wire.failures import EngineUnavailable

# Package -> endings of the names of files that shape the speech; damaged code fails on its own.
DATA: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "espeakng-loader": ("_dict", "phondata", "phonindex", "phontab", "intonations", ".so"),
        "pyopenjtalk-plus": (".dic", ".bin"),
        "text2tashkeel": (".onnx",),
    }
)


def require_whole() -> None:
    """Check the data of all packages in DATA: 150 MB, about 0.3 s. Raises EngineUnavailable for a damaged file.

    A package that is missing is named by whatever needs it; one without a RECORD, of another installer, is not checked.
    """
    for package, endings in DATA.items():
        for path, digest in _recorded(package, endings):
            if _digest(path) != digest:
                raise EngineUnavailable(
                    f"the file {path} is damaged; install the package {package} again"
                )


def _recorded(package: str, endings: tuple[str, ...]) -> list[tuple[Path, str]]:
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        return []
    chosen = [file for file in files if file.name.endswith(endings) and file.hash is not None]
    return [
        (Path(str(file.locate())), file.hash.value)
        for file in chosen
        if file.hash and file.hash.mode == "sha256"
    ]


def _digest(path: Path) -> str | None:
    """Return the hash as RECORD writes it; None where there is no such file."""
    try:
        with path.open("rb") as file:
            return (
                urlsafe_b64encode(hashlib.file_digest(file, "sha256").digest())
                .rstrip(b"=")
                .decode()
            )
    except OSError:
        return None
