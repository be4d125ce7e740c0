"""`python -m ui`: the web interface, until a signal."""

import os
import sys
from pathlib import Path
from typing import Final

import streamlit as st
from starlette.middleware import Middleware

from ui import shared
from ui.http.host_names import AllowedHosts, HostNameMiddleware
from ui.http.memory import RECONNECT_S, freeing_memory
from ui.http.routes import ROUTES
from ui.settings import Settings, settings_from, warnings_about

_PAGE: Final = Path(__file__).with_name("page.py")


# White on the primary colour, and each colour of text on the background, have a contrast of at least 4.5 (WCAG 1.4.3).
_THEME: Final = {
    "theme.light.primaryColor": "#0b6e62",
    "theme.light.greenTextColor": "#12672b",
    "theme.light.orangeTextColor": "#8a4b00",
    "theme.light.redTextColor": "#a3181a",
    "theme.dark.primaryColor": "#0f8577",
    "theme.dark.greenTextColor": "#5fd68a",
    "theme.dark.orangeTextColor": "#ffb454",
    "theme.dark.redTextColor": "#ff9a94",
}


def _streamlit_settings(settings: Settings) -> dict[str, object]:
    return {
        "server.address": settings.ui_host,
        "server.port": settings.ui_port,
        "server.headless": True,  # opens no browser
        "server.fileWatcherType": "none",
        "server.maxUploadSize": 200,  # MB, like the edge's MAX_UPLOAD_BYTES
        "browser.gatherUsageStats": False,  # no telemetry
        "client.showErrorDetails": "none",
        "global.disableWidgetStateDuplicationWarning": True,  # see ui/widgets/choice.py
        "client.toolbarMode": "minimal",
        "server.disconnectedSessionTTL": RECONNECT_S,
        **_THEME,
        "theme.baseRadius": "medium",
    }


def main() -> None:
    """Serve the interface."""
    try:
        settings = settings_from(os.environ)
    except ValueError as error:
        sys.exit(f"ui: {error}")
    for warning in warnings_about(settings, os.environ):
        print(f"ui: warning: {warning}", file=sys.stderr)  # noqa: T201  # its log
    shared.begin(settings)
    guard = Middleware(HostNameMiddleware, hosts=AllowedHosts(settings.served_hosts))
    app = st.App(_PAGE, lifespan=freeing_memory, routes=ROUTES, middleware=[guard])
    app.run(config=_streamlit_settings(settings))


if __name__ == "__main__":
    main()
