"""The curl commands that people copy, run in the shells that they are pasted into."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.__main__ import demo_command
from services.curl_command import form_command
from ui.client.order import text_type
from ui.text import curl_command as ui_command

SHELLS = [shell for shell in ("bash", "dash", "sh") if shutil.which(shell)]
TEXTS = [
    "née d'un court extrait",
    "Bonjour; ça va bien",
    "<speak>Bonjour</speak>",
    "@voices.txt",
    '"quoted" and `echo a` and $(echo b) and $HOME',
    "back\\slash, comma, 100 % & more | > < ! # * ?",
    "two\nlines",
    "-o other.wav",
    "a;type=text/html",
]
FOLDERS = ["plain", "my dir, v2", "it's; here", 'double "quotes"', "back\\slash", "$(echo a)"]


class Form:
    """Records the form that it receives."""

    def __init__(self) -> None:
        self.received: dict[str, str | bytes] = {}

    async def receive(self, request: web.Request) -> web.Response:
        for name, value in (await request.post()).items():
            self.received[name] = value.file.read() if isinstance(value, web.FileField) else value
        return web.Response(body=b"RIFF")


@asynccontextmanager
async def form_server() -> AsyncIterator[tuple[Form, str]]:
    form = Form()
    app = web.Application()
    app.router.add_post("/{path}", form.receive)
    async with TestServer(app) as server:
        yield form, str(server.make_url("")).rstrip("/")


async def pasted(shell: str, command: str, folder: Path) -> None:
    """Run the command as a script and check that the shell and curl succeed."""
    done = await asyncio.to_thread(
        subprocess.run, [shell, "-c", command], cwd=folder, capture_output=True, timeout=20
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("shell", SHELLS)
async def test_the_command_of_the_ready_line_sends_its_form(shell: str, tmp_path: Path) -> None:
    async with form_server() as (form, address):
        await pasted(shell, demo_command(address), tmp_path)
    text = form.received["text"]
    assert isinstance(text, str)
    assert "née d'un court extrait" in text
    assert form.received["language"] == "fr"
    assert form.received["reference_audio"][:4] == b"fLaC"
    assert (tmp_path / "speech.wav").read_bytes() == b"RIFF"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("text", TEXTS)
async def test_a_command_sends_any_text_as_it_is(shell: str, text: str, tmp_path: Path) -> None:
    async with form_server() as (form, address):
        command = form_command(f"{address}/stream", {"text": text}, files={}, out="a b.wav")
        await pasted(shell, command, tmp_path)
    assert form.received == {"text": text}
    assert (tmp_path / "a b.wav").exists()


@pytest.mark.parametrize("folder", FOLDERS)
async def test_a_command_sends_a_file_from_any_folder(folder: str, tmp_path: Path) -> None:
    path = tmp_path / folder / "clip.flac"
    path.parent.mkdir()
    path.write_bytes(b"fLaC")
    async with form_server() as (form, address):
        files = {"reference_audio": path}
        command = form_command(f"{address}/stream", {"text": "a"}, files=files, out="o.wav")
        await pasted(SHELLS[0], command, tmp_path)
    assert form.received["reference_audio"] == b"fLaC"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("text", TEXTS)
async def test_an_example_of_the_pages_sends_the_text_that_is_typed(
    shell: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / "voice.wav").write_bytes(b"RIFF")
    fields = {"text": text, **text_type(text, {})}
    async with form_server() as (form, address):
        command = ui_command.form_command(
            f"{address}/stream", fields, recording="voice.wav", after=" | cat > out"
        )
        await pasted(shell, command, tmp_path)
    assert form.received["text"] == text
    assert form.received.get("text_type") == ("ssml" if text.startswith("<speak>") else None)
    assert form.received["reference_audio"] == b"RIFF"


async def test_an_example_of_a_dialogue_sends_the_voices_of_its_names(tmp_path: Path) -> None:
    text, voices = "Anna: It's late.\nZoé: $HOME!", {"Anna": "builtin:A", "Zoé": "v_1"}
    async with form_server() as (form, address):
        fields = {"text": text, **text_type(text, voices)}
        command = ui_command.form_command(
            f"{address}/synthesize", fields, recording=None, after=" -o out"
        )
        await pasted("sh", command, tmp_path)
    assert form.received["text"] == text
    assert form.received["text_type"] == "dialogue"
    assert json.loads(str(form.received["voices"])) == voices
