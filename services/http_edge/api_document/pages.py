"""The two pages of the edge: where to go from `/`, and the viewer of the OpenAPI document. Pure."""

from html import escape
from types import MappingProxyType
from typing import Final

from services import __version__
from services.curl_command import form_command

# relative, so the page also works under a path prefix
_LINKS: Final = (
    ("docs", "API reference", "every path, to read and to try"),
    ("openapi.json", "OpenAPI document", "for client generators and other tools"),
    ("health", "Health", "the state of the service; checks use /readyz"),
    ("languages", "Languages", "that it speaks"),
)
# No inline styles or scripts, and nothing of other hosts. data: has the icons of the viewer's style sheet.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
VIEWER: Final = f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Voice cloning {__version__}: API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/page.js"></script>
</head>
<body><div id="page"></div><noscript>This page needs JavaScript; openapi.json has the same content.</noscript></body>
</html>
"""
# of both pages, under /docs/, and their types
FILES: Final = MappingProxyType(
    {
        "swagger-ui-bundle.js": "text/javascript",
        "swagger-ui.css": "text/css",
        "page.js": "text/javascript",
        "start.css": "text/css",
    }
)


def start_page(*, name: str, engine: str, address: str, ui_url: str) -> str:
    """Return the page for browsers at `/`. `address`: of this service; `ui_url`: of the web UI, or empty."""
    command = form_command(
        f"{address}/synthesize",
        {"text": "Good morning. This is a voice of its own.", "language": "en"},
        files={},
        out="speech.wav",
    )
    links = [f'<li><a href="{href}">{title}</a>: {about}</li>' for href, title, about in _LINKS]
    if ui_url:
        links.insert(0, f'<li><a href="{escape(ui_url)}">Web UI</a>: to speak in a browser</li>')

    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Voice cloning</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/start.css">
</head>
<body>
<h1>Voice cloning</h1>
<p>{escape(name)} {__version__}, engine <code>{escape(engine)}</code>: text to speech in a recorded voice.</p>
<ul>
{chr(10).join(links)}
</ul>
<p>Hear it:</p>
<pre>{escape(command)}</pre>
</body>
</html>
"""
