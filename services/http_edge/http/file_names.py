"""File names of responses with audio, for clients that save them."""

from typing import Final

from aiohttp import web

from services.http_edge.context import REQUEST_ID

_EXTENSIONS: Final = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/ogg": "opus",
    "audio/mp4": "m4b",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/pcm": "pcm",
    "audio/basic": "ulaw",
    "audio/x-alaw-basic": "alaw",
}


async def add_file_name(request: web.Request, response: web.StreamResponse) -> None:
    """Add a Content-Disposition with a file name to a response with audio that has none.

    The name is the id in the path, or of the request. A handler of the `on_response_prepare` signal.
    """
    if not response.content_type.startswith("audio/") or "Content-Disposition" in response.headers:
        return

    name = request.match_info.get("id", request.get(REQUEST_ID, "speech"))
    if not all(letter.isalnum() or letter in "-_" for letter in name) or not name.isascii():
        name = "speech"  # such as the name of a built-in voice

    extension = _EXTENSIONS.get(response.content_type, "audio")
    response.headers["Content-Disposition"] = f'inline; filename="{name}.{extension}"'
