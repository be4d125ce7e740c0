"""Which environment variables a process has no use for that only computes. Pure."""

from collections.abc import Mapping
from typing import Final

_PREFIXES: Final = ("NATS_", "API_KEY", "OTEL_")
_WORDS: Final = ("SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIAL", "NKEY", "SEED")


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment less what tells how to reach NATS, and less what is named like a secret."""
    return {name: value for name, value in environment.items() if not _secret(name.upper())}


def _secret(name: str) -> bool:
    return name.startswith(_PREFIXES) or any(word in name for word in _WORDS)
