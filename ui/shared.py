"""Shared by all sessions of this process: the settings, the service client, and the service's last responses."""

from typing import Any, Final

from ui.client.library import VoiceList
from ui.client.recent import Recent
from ui.client.service import Service
from ui.settings import Settings

_STATUS_S: Final = 5.0
_LANGUAGES_S: Final = 20.0

_settings = Settings()

READINESS: Final[Recent[str]] = Recent(lambda: service().readiness(), _STATUS_S)
ABOUT: Final[Recent[dict[str, Any]]] = Recent(lambda: service().about(), _STATUS_S)
METRICS: Final[Recent[str]] = Recent(lambda: service().metrics(), _STATUS_S)
LANGUAGES: Final[Recent[dict[str, str]]] = Recent(
    lambda: service().languages(), _LANGUAGES_S, lasting=True
)
VOICES: Final[Recent[VoiceList]] = Recent(lambda: service().voices(), _STATUS_S, lasting=True)


def begin(settings: Settings) -> None:
    """Take the settings, once, before the first page is shown."""
    global _settings  # noqa: PLW0603  # Streamlit runs the page by its path and can hand it nothing
    _settings = settings


def settings() -> Settings:
    """Return the settings."""
    return _settings


def service() -> Service:
    """Return the service that speaks."""
    return Service(_settings.service_url, _settings.api_key)
