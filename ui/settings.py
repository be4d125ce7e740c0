"""Settings of the web UI."""

import difflib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Final
from urllib.parse import urlsplit

_NAME: Final = r"(\*|(\*\.)?[A-Za-z0-9_][A-Za-z0-9_.-]*)"
_CLOSE: Final = 0.84  # 1: the same name


@dataclass(frozen=True)
class Settings:
    """Environment variables of the same names in upper case."""

    ui_host: str = "127.0.0.1"
    ui_port: int = 8501
    service_url: str = "http://localhost:8004"  # where this process reaches the service
    api_key: str = ""  # to the service, where it asks for one
    public_service_url: str = ""  # where its users do, for the cURL examples; empty: the same
    allowed_hosts: str = (
        ""  # names of the pages in the public DNS, with commas between them; "*": any
    )

    @property
    def shown_url(self) -> str:
        """Return the address of the service that is shown to users."""
        return self.public_service_url or self.service_url

    @property
    def served_hosts(self) -> str:
        """Return the host names of the pages, besides the private ones."""
        return f"{self.allowed_hosts},{urlsplit(self.public_service_url).hostname or ''}"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the settings. Raises ValueError, which names the variable that is wrong."""
    port = environment.get("UI_PORT", "8501")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("UI_PORT is a port, 0 to 65535")
    for name in ("SERVICE_URL", "PUBLIC_SERVICE_URL"):
        if not environment.get(name, "http://").startswith(("http://", "https://")):
            raise ValueError(f"{name} begins with http:// or https://")
    if not re.fullmatch(rf"({_NAME}( *, *{_NAME})*)?", environment.get("ALLOWED_HOSTS", "")):
        raise ValueError(
            "ALLOWED_HOSTS holds host names with commas between them, such as voice.example.org"
        )
    return Settings(
        ui_host=environment.get("UI_HOST", Settings.ui_host),
        ui_port=int(port),
        service_url=environment.get("SERVICE_URL", Settings.service_url).rstrip("/"),
        api_key=environment.get("API_KEY", ""),
        public_service_url=environment.get("PUBLIC_SERVICE_URL", "").rstrip("/"),
        allowed_hosts=environment.get("ALLOWED_HOSTS", ""),
    )


def warnings_about(settings: Settings, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield what an operator should know: that the pages are open, and which variables are perhaps misspelled."""
    if not _is_loopback(settings.ui_host):
        yield (
            f"UI_HOST={settings.ui_host}: anyone who reaches this address may use the service through these pages; "
            "put a proxy that asks for a password in front, or set UI_HOST=127.0.0.1"
        )
    known = [field.name.upper() for field in fields(Settings)]
    for name, value in sorted(environment.items()):
        # Kubernetes names its Services so: UI_SERVICE_HOST, UI_PORT_8501_TCP.
        if (
            name in known
            or not value
            or "_SERVICE_" in name.removeprefix("PUBLIC")
            or "_PORT_" in name
        ):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=_CLOSE)
        if near or name.startswith("UI_"):
            yield f"{name} is no setting" + (f"; is {near[0]} meant?" if near else "")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
