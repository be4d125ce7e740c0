"""Signed URLs: a GET of one path, for a short time, in the name of an API key, for clients that cannot send a header.

How it works

The signature is an HMAC-SHA256 over the key (its hash and tenant), the path with its query, and the expiry. It is made
with a secret that all edges share, and follows the signed path as its last parameters. An edge verifies it against
every key of the given name, so a URL ends with the key: if the key is removed, replaced or given to another tenant, no
signature of it is valid any longer. The name of a key is no secret.

The file of secrets has one in each line. The first one signs, and all of them verify, so that a secret can be replaced
without invalidating URLs: add the new one as the first line, and remove the old one an hour later.
"""

import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from services.http_edge.auth.api_keys import Caller, Key
from services.http_edge.errors import CannotReadSecrets, SignedUrlInvalid

log = structlog.get_logger()

LONGEST_S: Final = 3600
LONGEST_PATH: Final = 2048  # characters
_SHORTEST_SECRET: Final = 32  # characters
_MOST_SECRETS: Final = 4
_RELOAD_S: Final = 2.0
_ID: Final = r"[A-Za-z0-9_-]{8,64}"
# what browsers request without a header: audio, events, subtitle tracks and downloads
_SIGNABLE: Final = re.compile(
    rf"/(jobs/{_ID}/(audio|events|subtitles\.(vtt|srt)|book\.(m4b|mp3))"
    rf"|requests/{_ID}/(audio|sentences|subtitles\.(vtt|srt)))(\?[!-~]*)?"
)
_SIGNED: Final = re.compile(
    r"(?P<path>/[!-~]*)[?&]expires=(?P<expires>[0-9]{1,12})&key=(?P<key>[A-Za-z0-9_-]{1,64})"
    r"&signature=(?P<signature>[A-Za-z0-9_-]{43})"
)
_RESERVED: Final = re.compile(r"[?&](expires|key|signature)=|#")
_INVALID: Final = "the signed URL is not valid; get another one from POST /signed-urls"


class SignedPath(NamedTuple):
    """A path with its signature, as a client sent it."""

    path: str  # with its own query
    expires: str  # Unix seconds
    key: str  # name of an API key
    signature: str


def is_signable(path: str) -> bool:
    """Return whether URLs of this path are signed: those that browsers read without headers."""
    return (
        len(path) <= LONGEST_PATH
        and _SIGNABLE.fullmatch(path) is not None
        and _RESERVED.search(path) is None
    )


def signed_path(target: str) -> SignedPath | None:
    """Return the parts of a signed request target; None if it is not signed."""
    found = _SIGNED.fullmatch(target)
    return None if found is None else SignedPath(**found.groupdict())


@dataclass(frozen=True)
class UrlSigner:
    """Signs and verifies with these secrets; the first one signs."""

    secrets: Sequence[bytes]

    def signed(self, path: str, key: Key, expires: int) -> str:
        """Return a path with its signature. `expires`: Unix seconds."""
        joint = "&" if "?" in path else "?"
        signature = _signature(self.secrets[0], path, key, str(expires))
        return f"{path}{joint}expires={expires}&key={key.name}&signature={signature}"

    def verified(self, sent: SignedPath, callers: Iterable[Caller], now_s: float) -> Caller:
        """Return the caller in whose name a path was signed. Raises SignedUrlInvalid."""
        given = sent.signature.encode()
        found = [
            caller
            for caller in callers
            if caller.key.name == sent.key
            and any(
                hmac.compare_digest(
                    _signature(secret, sent.path, caller.key, sent.expires).encode(), given
                )
                for secret in self.secrets
            )
        ]
        if not found or not is_signable(sent.path):
            raise SignedUrlInvalid(_INVALID)
        if now_s >= int(sent.expires):
            raise SignedUrlInvalid(
                "the signed URL has expired; get another one from POST /signed-urls"
            )
        return found[0]


def _signature(secret: bytes, path: str, key: Key, expires: str) -> str:
    # GET also stands for HEAD
    signed = "\n".join(("v1", key.hash, key.tenant, "GET", path, expires))
    digest = hmac.digest(secret, signed.encode(), sha256)
    return urlsafe_b64encode(digest).decode().rstrip("=")


class UrlSecrets:
    """The secrets of a file, which is read again when it changes. If it becomes unreadable, the old ones stay valid."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises CannotReadSecrets."""
        self._path = path
        self._signer = UrlSigner(_read(path))
        self._content_stamp = self._stamp()
        self._checked_s = time.monotonic()

    def signer(self) -> UrlSigner:
        """Return the signer with the current secrets."""
        now_s = time.monotonic()
        if now_s - self._checked_s < _RELOAD_S:
            return self._signer
        self._checked_s = now_s
        try:
            if (stamp := self._stamp()) != self._content_stamp:
                self._signer = UrlSigner(_read(self._path))
                self._content_stamp = stamp
                log.info("url_secrets_read", secrets=len(self._signer.secrets))
        except (CannotReadSecrets, OSError):
            log.error("url_secrets_unreadable")
        return self._signer

    def _stamp(self) -> tuple[int, int]:
        state = self._path.stat()
        return state.st_mtime_ns, state.st_ino


def _read(path: Path) -> list[bytes]:
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        raise CannotReadSecrets("URL_SECRETS_FILE cannot be read as ASCII text") from None
    if not 1 <= len(lines) <= _MOST_SECRETS or any(len(line) < _SHORTEST_SECRET for line in lines):
        raise CannotReadSecrets(
            f"URL_SECRETS_FILE is invalid: write 1 to {_MOST_SECRETS} secrets of at least {_SHORTEST_SECRET} "
            "characters, one in each line, such as that of `openssl rand -hex 32`"
        )
    return [line.encode() for line in lines]
