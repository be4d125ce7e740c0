"""Removal of secrets from the environment of a process that only computes. Pure."""

from collections.abc import Mapping
from typing import Final

_SERVICES: Final = ("NATS_", "API_KEY", "OTEL_")
_HUBS: Final = ("HF_",)  # an engine fetches its weights
_WORDS: Final = frozenset(
    {"SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIALS", "NKEY", "SEED", "KEY", "KEYS"}
)


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the settings of NATS and without variables named like a secret."""
    return {name: value for name, value in environment.items() if not _secret(name.upper())}


def _secret(name: str) -> bool:
    if name.startswith(_HUBS):
        return False
    return name.startswith(_SERVICES) or not _WORDS.isdisjoint(name.split("_"))
