"""Shared by all sessions of this process: the settings, and the service client."""

from ui.client.service import Service
from ui.settings import Settings

_settings = Settings()


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
