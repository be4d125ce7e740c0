"""A page of another origin plays a job's audio and follows its events, with API keys on, in a real browser."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.sync_api import sync_playwright

from services.admin import keys as api_keys
from tests.support.browser import chromium
from tests.support.front import SETTINGS, Front, front

SCRIPT = """async ([audio, events]) => {
  const player = new Audio(audio);
  player.muted = true;
  await new Promise((done, failed) => {
    player.onloadedmetadata = done;
    player.onerror = () => failed(new Error(`audio: ${player.error.message}`));
  });
  player.currentTime = player.duration - 0.5;
  const ended = new Promise(done => { player.onended = done; });
  await player.play();
  await ended;
  const sentences = [];
  await new Promise((done, failed) => {
    const source = new EventSource(events);
    source.addEventListener('progress', event => sentences.push(JSON.parse(event.data).spoken));
    source.addEventListener('done', () => { source.close(); done(); });
    source.onerror = () => failed(new Error('events'));
  });
  return {duration: player.duration, sentences};
}"""


async def test_an_audio_element_and_an_event_source_read_signed_urls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api_keys.main([str(tmp_path / "keys.toml"), "--name", "web"])
    key = {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}
    (tmp_path / "secrets").write_text("5" * 64)
    settings = msgspec.structs.replace(
        SETTINGS,
        api_keys_file=str(tmp_path / "keys.toml"),
        url_secrets_file=str(tmp_path / "secrets"),
        cors_origins="*",
    )
    async with front(tmp_path, settings=settings) as service, TestServer(_page()) as page:
        async with await service.post("/jobs", headers=key) as response:
            job = (await response.json())["id"]
        urls = [await _signed(service, key, f"/jobs/{job}/{part}") for part in ("audio", "events")]
        async with await service.get(f"/jobs/{job}/audio", headers=key) as response:
            await response.read()  # to the end of the job
        heard = await asyncio.to_thread(_browsed, str(page.make_url("/")), urls)
        async with await service.get(f"/jobs/{job}", headers=key) as response:
            shown = await response.json()
    assert heard["duration"] == pytest.approx(shown["audio_seconds"], abs=0.01)
    assert heard["sentences"] == list(range(1, shown["sentences"] + 1))


def _page() -> web.Application:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>page</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    return app


async def _signed(service: Front, key: dict[str, str], path: str) -> str:
    async with service.session.post(
        f"{service.addresses[0]}/signed-urls", data=json.dumps({"path": path}), headers=key
    ) as response:
        assert response.status == 200, await response.text()
        return service.addresses[0] + (await response.json())["url"]


def _browsed(page_url: str, urls: list[str]) -> dict[str, Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.goto(page_url)
            heard: dict[str, Any] = page.evaluate(SCRIPT, urls)
            return heard
        finally:
            browser.close()
