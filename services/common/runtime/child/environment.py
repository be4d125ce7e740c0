"""Environments of child processes: without secrets, or with a few variables only. Pure."""

from collections.abc import Collection, Mapping
from typing import Final

_SERVICE_PREFIXES: Final = ("NATS_", "API_KEY", "OTEL_")
_HUB_PREFIXES: Final = ("HF_",)  # an engine downloads its weights
_SECRET_WORDS: Final = frozenset(
    {"SECRET", "PASSWORD", "PASSWD", "TOKEN", "CREDENTIALS", "NKEY", "SEED", "KEY", "KEYS"}
)


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without NATS settings and without variables named like a secret."""
    return {name: value for name, value in environment.items() if not _is_secret(name.upper())}


def only(names: Collection[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the environment that have these names."""
    return {name: environment[name] for name in names if name in environment}


def _is_secret(name: str) -> bool:
    if name.startswith(_HUB_PREFIXES):
        return False
    return name.startswith(_SERVICE_PREFIXES) or not _SECRET_WORDS.isdisjoint(name.split("_"))
