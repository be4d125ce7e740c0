"""The weights on the hub and in its cache.

huggingface_hub fetches the small files. It would fetch the large one to a file that it deletes when
interrupted, and whose content it does not check; so the large file is fetched here, from huggingface_hub's
building blocks: into a partial file that the next start resumes, and that is moved into the cache once its
SHA-256 matches the one that the hub reports.
"""

import contextlib
import errno
import fcntl
import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple, Self
from urllib.parse import urlsplit

import httpx2
import msgspec
from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    get_token,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import HfFileMetadata, http_get, repo_folder_name

from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.xtts.weights.location import RELEASE, RELEASE_SHA256

_LARGE: Final = "model.pth"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHA1: Final = re.compile(r"[0-9a-f]{40}")
_SPARE_BYTES: Final = 64 << 20  # left free on the disk
_WAIT_S: Final = 2.0  # between checks whether another process has fetched it
_LONGEST_WAIT_S: Final = 2 * 3600.0
_INSTEAD: Final = "or fetch the files on another machine and set XTTS_MODEL_DIR to their folder"

Tell = Callable[[str], None]


class HubRevision(NamedTuple):
    """A revision of a repository on the hub."""

    repository: str
    revision: str

    @property
    def cache(self) -> Path:
        """The repository's folder in the hub's cache."""
        return Path(constants.HF_HUB_CACHE) / repo_folder_name(
            repo_id=self.repository, repo_type="model"
        )


class FoundWhole(msgspec.Struct, frozen=True):
    """A file's size and times at the moment its content was verified."""

    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Read a file's metadata."""
        state = path.stat()
        return cls(state.st_size, state.st_mtime_ns)


def cached_folder(source: HubRevision, names: Sequence[str]) -> Path | None:
    """Return the folder of the hub's cache that holds all files, or None. Uses no network."""
    try:
        found = [
            try_to_load_from_cache(source.repository, name, revision=source.revision)
            for name in names
        ]
    except HFValidationError as error:
        raise _refusal(error, source) from error
    paths = [Path(path) for path in found if isinstance(path, str)]
    return paths[0].parent if len(paths) == len(names) else None


def fetched_folder(
    source: HubRevision,
    names: Sequence[str],
    records: Path,
    tell: Tell,
    *,
    optional: Sequence[str] = (),
) -> Path:
    """Fetch what is missing, and return the folder of the hub's cache that holds all files.

    Of the optional files those are fetched that the hub has. Raises EngineUnavailable, with advice.
    """
    tell("asking the hub for the weights")
    try:
        large = get_hf_file_metadata(
            hf_hub_url(source.repository, _LARGE, revision=source.revision)
        )
        _fetch_large(source, large, records, tell)
        # before the files that make the folder complete: so an interrupted download is resumed
        paths = [
            *_fetched(source, optional, missing_ok=True),
            *_fetched(source, names, missing_ok=False),
        ]
    except (OSError, httpx2.HTTPError, HFValidationError) as error:
        raise _refusal(error, source) from error
    if len({path.parent for path in paths}) > 1:
        raise EngineUnavailable(
            "the weights changed on the hub while they were being fetched; start again"
        )
    return paths[0].parent


def _fetched(source: HubRevision, names: Sequence[str], *, missing_ok: bool) -> Iterator[Path]:
    """Fetch files, and yield their paths; with `missing_ok` without those that the hub does not have."""
    for name in names:
        try:
            yield Path(hf_hub_download(source.repository, name, revision=source.revision))
        except RemoteEntryNotFoundError:
            if not missing_ok:
                raise


def check_once(path: Path, records: Path, tell: Tell) -> None:
    """Check a file of the hub's cache against the SHA-256 in its name, unless it was verified before.

    Raises EngineUnavailable for a damaged file.
    """
    blob = path.resolve()
    if not _SHA256.fullmatch(blob.name):
        return  # on a file system without links, huggingface_hub stores files under their own names
    state = FoundWhole.of(blob)
    if _remembered(records, blob.name) == state:
        return
    tell("checking the weights")
    if _digest(blob) != blob.name:
        raise EngineUnavailable(
            f"{blob} is damaged: its SHA-256 is not its name; delete it and start again"
        )
    _remember(records, blob.name, state)


def check_small(path: Path) -> None:
    """Check a small file of the hub's cache against the git object id in its name, or, as some mirrors name
    files, its SHA-1.

    Raises EngineUnavailable for a damaged file.
    """
    blob = path.resolve()
    if not _SHA1.fullmatch(blob.name):
        return  # on a file system without links, huggingface_hub stores files under their own names
    content = blob.read_bytes()
    as_git = b"blob %d\0" % len(content) + content
    if blob.name not in {
        hashlib.sha1(named, usedforsecurity=False).hexdigest() for named in (as_git, content)
    }:
        raise EngineUnavailable(
            f"{blob} is damaged: its name is neither its git object id nor its SHA-1; delete it and start again, "
            f"{_INSTEAD}"
        )


def _fetch_large(source: HubRevision, large: HfFileMetadata, records: Path, tell: Tell) -> None:
    """Fetch the large file, verified, to where huggingface_hub looks for it."""
    digest = large.etag or ""
    if not _SHA256.fullmatch(digest) or large.size is None:
        raise EngineUnavailable(
            f"{constants.ENDPOINT} does not report the SHA-256 and the size of {_LARGE}; unset HF_ENDPOINT, {_INSTEAD}"
        )
    if source.revision == RELEASE and digest != RELEASE_SHA256:
        raise EngineUnavailable(
            f"{constants.ENDPOINT} reports another SHA-256 of {_LARGE} than that of revision {RELEASE[:7]}; unset "
            f"HF_ENDPOINT, set XTTS_REVISION if you want other weights, {_INSTEAD}"
        )
    blob = source.cache / "blobs" / digest
    blob.parent.mkdir(parents=True, exist_ok=True)
    partial = blob.with_name(f"{digest}.partial")
    with _alone(partial, tell) as file:
        if not blob.exists():
            _resume(file, partial, large.location, large.size, tell)
            _move_into_cache(file, partial, blob, tell)
            _remember(records, digest, FoundWhole.of(blob))
    check_once(blob, records, tell)  # the blob may have existed already


@contextmanager
def _alone(partial: Path, tell: Tell) -> Iterator[BinaryIO]:
    """Open a partial file for resuming, exclusively among the processes of this machine."""
    deadline = time.monotonic() + _LONGEST_WAIT_S
    with partial.open("ab") as file:
        while not _locked(file):
            if time.monotonic() > deadline:
                raise EngineUnavailable(
                    f"another process has been fetching {partial} for hours; end it"
                )
            tell("waiting for another worker that fetches the weights")
            time.sleep(_WAIT_S)
        yield file


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _resume(file: BinaryIO, partial: Path, url: str, size_bytes: int, tell: Tell) -> None:
    """Fetch the rest of a partial file. Broken connections are resumed, a few times."""
    if partial.stat().st_size > size_bytes:
        file.truncate(0)
    there_bytes = partial.stat().st_size
    lacking_bytes = size_bytes - there_bytes + _SPARE_BYTES
    free_bytes = shutil.disk_usage(partial.parent).free
    if free_bytes < lacking_bytes:
        raise EngineUnavailable(
            f"the weights need {_gigabytes(lacking_bytes)} more in {partial.parent}, where {_gigabytes(free_bytes)} "
            "are free; free disk space, or set HF_HOME to a folder on a larger disk"
        )
    token = get_token() if urlsplit(url).netloc == urlsplit(constants.ENDPOINT).netloc else None
    # not sent to other hosts: those URLs are signed
    headers = {"authorization": f"Bearer {token}"} if token else {}
    http_get(
        url, file, resume_size=there_bytes, headers=headers, expected_size=size_bytes,
        tqdm_class=_progress_bar(tell, size_bytes),
    )  # fmt: skip
    file.flush()


def _move_into_cache(file: BinaryIO, partial: Path, blob: Path, tell: Tell) -> None:
    """Rename a fetched file to its SHA-256. Raises EngineUnavailable if its content differs."""
    tell("checking the weights")
    if _digest(partial) != blob.name:
        file.truncate(0)  # not deleted: other processes may be waiting for it
        raise EngineUnavailable(
            "the downloaded weights are damaged: their SHA-256 is not the one that the hub reports; the "
            "download was discarded, so start again; if that fails too, check the proxy or mirror in between"
        )
    partial.rename(blob)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remembered(records: Path, digest: str) -> FoundWhole | None:
    try:
        return msgspec.json.decode((records / f"{digest}.json").read_bytes(), type=FoundWhole)
    except (OSError, msgspec.DecodeError):
        return None


def _remember(records: Path, digest: str, state: FoundWhole) -> None:
    with contextlib.suppress(OSError):  # then it is checked again at the next start
        records.mkdir(parents=True, exist_ok=True)
        (records / f"{digest}.json").write_bytes(msgspec.json.encode(state))


def _progress_bar(tell: Tell, size_bytes: int) -> Any:
    """Return a progress bar class for huggingface_hub, which reports each new percent to `tell`."""

    class Bar:
        def __init__(self, *, initial: int = 0, **_: object) -> None:
            self._done_bytes, self._reported = initial, -1

        def __enter__(self) -> Self:
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None:
            return

        def update(self, more_bytes: int) -> None:
            self._done_bytes += more_bytes
            percent = self._done_bytes * 100 // size_bytes
            if percent != self._reported:
                self._reported = percent
                tell(f"fetching the weights: {percent} % of {_gigabytes(size_bytes)}")

    return Bar


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"


def _refusal(error: Exception, source: HubRevision) -> EngineUnavailable:
    """Translate an error of huggingface_hub, its HTTP client or the disk into advice."""
    at = f"{source.repository} at revision {source.revision!r}"
    match error:
        case HFValidationError():
            advice = f"{source.repository!r} cannot be the name of a repository on the hub"
        case GatedRepoError():
            advice = f"{at} is restricted by its owner; request access there, and set HF_TOKEN"
        case RevisionNotFoundError():
            advice = f"{source.repository} has no revision {source.revision!r}; set XTTS_REVISION to an existing one"
        case RepositoryNotFoundError():
            advice = f"{constants.ENDPOINT} has no {source.repository}, or it is private; if so, set HF_TOKEN"
        case LocalEntryNotFoundError() | OfflineModeIsEnabled():
            reason = (
                "HF_HUB_OFFLINE is set"
                if constants.HF_HUB_OFFLINE
                else f"{constants.ENDPOINT} does not answer"
            )
            advice = f"the weights are not in {constants.HF_HUB_CACHE}, and {reason}; change that, {_INSTEAD}"
        case EntryNotFoundError():
            advice = f"{at} lacks one of the files of XTTS-v2"
        case HfHubHTTPError():
            advice = f"{constants.ENDPOINT} answered {error.response.status_code} for {at}; retry later, {_INSTEAD}"
        case OSError(errno=errno.ENOSPC):
            advice = f"the disk of {constants.HF_HUB_CACHE} is full; free disk space, or set HF_HOME to a larger disk"
        case OSError(errno=int()):
            advice = f"{constants.HF_HUB_CACHE} cannot be used: {error.strerror}; set HF_HOME to another folder"
        case _:  # the HTTP client's, and a download of another size than announced
            advice = (
                f"the weights cannot be fetched from {constants.ENDPOINT} ({type(error).__name__}); check the "
                f"network and start again, which resumes the download, {_INSTEAD}"
            )
    return EngineUnavailable(advice)
