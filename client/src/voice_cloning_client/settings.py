"""The address of the service and the API key, from arguments or the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from voice_cloning_client.errors import InvalidInput

URL: Final = "VOICE_CLONING_SERVICE_URL"
KEY: Final = "VOICE_CLONING_API_KEY"
KEY_FILE: Final = "VOICE_CLONING_API_KEY_FILE"
DEFAULT_URL: Final = "http://localhost:8004"
_MAX_KEY: Final = 4096  # characters


@dataclass(frozen=True)
class Timeouts:
    """Limits of every wait, in seconds."""

    connect_s: float = 10.0
    response_s: float = 30.0  # for everything but audio and uploads
    first_audio_s: float = 300.0  # from the request to the first byte of audio, queueing included
    idle_s: float = 90.0  # between two reads of audio
    cancel_s: float = 5.0  # for the cancellation of a request that is no longer needed


@dataclass(frozen=True)
class Access:
    """The address of the service, and the API key, which `repr` does not show."""

    url: str
    api_key: str = field(default="", repr=False)

    def headers(self) -> dict[str, str]:
        """Return the headers that authenticate a request."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


def access(
    url: str | None = None,
    api_key: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Access:
    """Return the access; what is None comes from the environment. Raises InvalidInput."""
    environment = os.environ if environment is None else environment
    address = (url or environment.get(URL) or DEFAULT_URL).strip().rstrip("/")
    key = _key_of(environment) if api_key is None else api_key
    _check_address(address)
    _check_key(key)
    return Access(address, key)


def key_in_file(path: str) -> str:
    """Return the API key that a file holds. Raises InvalidInput."""
    try:
        return Path(path).expanduser().read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidInput(f"the API key file {path} cannot be read: {reason}") from None


def _key_of(environment: Mapping[str, str]) -> str:
    if key := environment.get(KEY, "").strip():
        return key

    path = environment.get(KEY_FILE, "")
    return key_in_file(path) if path else ""


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False

    if not valid or parts.query or parts.fragment:
        raise InvalidInput(
            f"the address of the service is invalid; send one like {DEFAULT_URL}, "
            f"as an argument or in {URL}"
        )

    if parts.username or parts.password:
        raise InvalidInput(f"the address must not contain a password; put the API key into {KEY}")


def _check_key(key: str) -> None:
    if not key.isascii() or not key.isprintable() or " " in key or len(key) > _MAX_KEY:
        raise InvalidInput("the API key must be printable ASCII characters without spaces")
