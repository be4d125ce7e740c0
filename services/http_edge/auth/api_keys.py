"""Who may ask, as whom, and how much: API keys from a file that holds their hashes alone."""

import hmac
import time
import tomllib
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta

from services.common.wire.messages import EngineName, Tenant
from services.http_edge.errors import CannotReadKeys, RateExceeded, UnknownKey

log = structlog.get_logger()

_LOOK_AGAIN_S: Final = 2.0
KeyName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key, as the file has it. Zeros mean no limit, no engines mean all."""

    name: KeyName
    hash: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]  # SHA-256 of the key
    tenant: Tenant
    requests_a_minute: Annotated[int, Meta(ge=0)] = 0  # at each edge
    audio_seconds_a_day: Annotated[float, Meta(ge=0)] = 0.0  # as it is spoken, from midnight UTC on, at all edges
    engines: tuple[EngineName, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: tuple[Key, ...] = ()


@dataclass
class Caller:
    """Somebody with a key, and the requests that the minute has left for them (a token bucket)."""

    key: Key
    _left: float = field(init=False)
    _at_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._left = float(self.key.requests_a_minute)

    def take_turn(self) -> None:
        """Count a request. Raises RateExceeded, with when to come back."""
        most = self.key.requests_a_minute
        if not most:
            return
        now_s = time.monotonic()
        self._left = min(most, self._left + (now_s - self._at_s) * most / 60)
        self._at_s = now_s
        if self._left < 1:
            failure = RateExceeded(f"this key may ask {most} times a minute; wait a moment")
            failure.retry_after_s = (1 - self._left) * 60 / most
            raise failure
        self._left -= 1


class ApiKeys:
    """The keys of a file, read again when it changes. A file that becomes unreadable changes nothing."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises CannotReadKeys."""
        self._path = path
        self._callers: dict[str, Caller] = {}
        self._stamp = self._stamped()
        self._looked_s = time.monotonic()
        self._take(_read(path))

    def find(self, secret: str) -> Caller:
        """Return whose key this is. Raises UnknownKey.

        Hashes are compared in constant time, and all of them are. A key is 256 random bits, so a fast hash will do:
        there is nothing to be guessed.
        """
        self._look_again()
        given = sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        found = [caller for known, caller in self._callers.items() if hmac.compare_digest(known, given)]
        if not found:
            raise UnknownKey("this key is not known here; send one that is, as Authorization: Bearer or X-API-Key")
        return found[0]

    def _look_again(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_AGAIN_S:
            return
        self._looked_s = now_s
        try:
            if (stamp := self._stamped()) != self._stamp:
                self._take(_read(self._path))
                self._stamp = stamp
        except CannotReadKeys as error:
            log.error("keys_unreadable", detail=str(error))

    def _take(self, keys: tuple[Key, ...]) -> None:
        """Let keys that were there already keep their counts."""
        before = self._callers
        self._callers = {
            key.hash: before[key.hash] if key.hash in before and before[key.hash].key == key else Caller(key)
            for key in keys
        }
        log.info("keys_read", keys=len(keys))

    def _stamped(self) -> tuple[int, int]:
        try:
            state = self._path.stat()
        except OSError as error:
            raise CannotReadKeys(f"API_KEYS_FILE cannot be read ({error.strerror})") from None
        return state.st_mtime_ns, state.st_ino


def _read(path: Path) -> tuple[Key, ...]:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).keys
    except (OSError, ValueError) as error:  # of msgspec and tomllib as well
        raise CannotReadKeys(f"API_KEYS_FILE is not as it should be: {error}") from None
