"""API keys, their tenants and their rate limits, from a file that contains only hashes of the keys."""

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

from services.common.wire.fields import EngineName, Tenant
from services.common.wire.voices import RESERVED_TENANTS
from services.http_edge.errors import CannotReadKeys, EngineNotAllowed, RateExceeded, UnknownKey

log = structlog.get_logger()

_RELOAD_S: Final = 2.0
KeyName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One API key of the file. Zero means no limit; no engines means all."""

    name: KeyName
    hash: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]  # SHA-256 of the key
    tenant: Tenant
    requests_a_minute: Annotated[int, Meta(ge=0)] = 0  # at each edge
    # produced since midnight UTC, across all edges
    audio_seconds_a_day: Annotated[float, Meta(ge=0)] = 0.0
    engines: tuple[EngineName, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: tuple[Key, ...] = ()


@dataclass
class Caller:
    """The client of one API key, with the token bucket of its rate limit."""

    key: Key
    _left: float = field(init=False)
    _at_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._left = float(self.key.requests_a_minute)

    def require_engine(self, engine: str) -> None:
        """Raise EngineNotAllowed if the key does not allow this engine."""
        if not self.allows(engine):
            allowed = ", ".join(self.key.engines)
            raise EngineNotAllowed(f"this key does not allow the engine {engine}, only {allowed}")

    def allows(self, engine: str) -> bool:
        """Return whether the key can synthesize with this engine."""
        return not self.key.engines or engine in self.key.engines

    def take_token(self) -> None:
        """Count a request. Raises RateExceeded, with the time to retry after."""
        most = self.key.requests_a_minute
        if not most:
            return
        now_s = time.monotonic()
        self._left = min(most, self._left + (now_s - self._at_s) * most / 60)
        self._at_s = now_s
        if self._left < 1:
            failure = RateExceeded(
                f"this key is limited to {most} requests per minute; retry later"
            )
            failure.retry_after_s = (1 - self._left) * 60 / most
            raise failure
        self._left -= 1


class ApiKeys:
    """The API keys of a file, which is reloaded when it changes.

    If it becomes unreadable, the old keys stay valid.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. Raises CannotReadKeys."""
        self._path = path
        self._callers: dict[str, Caller] = {}
        self._stamp = self._stamped()
        self._checked_s = time.monotonic()
        self._replace(_read(path))

    def find(self, secret: str) -> Caller:
        """Return the caller with this key. Raises UnknownKey.

        Every hash is compared, in constant time. A key is 256 random bits, so a fast hash is
        enough: it cannot be guessed.
        """
        self._reload()
        given = sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
        found = [
            caller for known, caller in self._callers.items() if hmac.compare_digest(known, given)
        ]
        if not found:
            raise UnknownKey(
                "unknown API key; send a valid one as Authorization: Bearer KEY or X-API-Key: KEY"
            )
        return found[0]

    def named(self, name: str) -> list[Caller]:
        """Return the callers whose key has this name; names can repeat."""
        self._reload()
        return [caller for caller in self._callers.values() if caller.key.name == name]

    def _reload(self) -> None:
        now_s = time.monotonic()
        if now_s - self._checked_s < _RELOAD_S:
            return
        self._checked_s = now_s
        try:
            if (stamp := self._stamped()) != self._stamp:
                self._replace(_read(self._path))
                self._stamp = stamp
        except CannotReadKeys as error:
            log.error("keys_unreadable", detail=str(error))

    def _replace(self, keys: tuple[Key, ...]) -> None:
        """Replace the keys; unchanged ones keep their token bucket."""
        before = self._callers
        self._callers = {
            key.hash: before[key.hash]
            if key.hash in before and before[key.hash].key == key
            else Caller(key)
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
        keys = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).keys
    except (OSError, ValueError) as error:  # of msgspec and tomllib as well
        raise CannotReadKeys(f"API_KEYS_FILE is invalid: {error}") from None

    if any(key.tenant in RESERVED_TENANTS for key in keys):
        reserved = " and ".join(sorted(RESERVED_TENANTS))
        raise CannotReadKeys(
            f"API_KEYS_FILE is invalid: the tenants {reserved} are reserved; name another tenant"
        )
    return keys
