"""The web interface in a real browser: Debian's chromium, driven by Playwright, with a microphone that plays a file."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

ROOT: Final = Path(__file__).parents[2]
_CHROMIUM_SH: Final = Path(__file__).parent / "chromium.sh"
_START_S: Final = 120.0

expect.set_options(timeout=120_000)


def chromium() -> str:
    """Return the path of chromium. Raises FileNotFoundError with what to install."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise FileNotFoundError(
            "the browser tests need chromium: apt-get install chromium, or set CHROMIUM"
        )
    return found


@contextmanager
def browser(microphone: Path, *arguments: str) -> Iterator[Browser]:
    """Yield a browser whose microphone hears this WAV, again and again; `arguments` are chromium's."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=_CHROMIUM_SH,
            env=os.environ | {"CHROMIUM": chromium()},
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={microphone}",
                *arguments,
            ],
        )
        try:
            yield running
        finally:
            running.close()


@dataclass(frozen=True)
class Running:
    """A process, and the file with its output."""

    process: "subprocess.Popen[bytes]"
    output: Path

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()


@contextmanager
def process(
    module: str, *arguments: str, ready_url: str, **environment: str
) -> Iterator["Running"]:
    """Run `python -m module` while the block runs; begin when the URL answers with 200."""
    with tempfile.NamedTemporaryFile(prefix="output-") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=output,
            start_new_session=True,
        )
        try:
            wait_until_ready(running, ready_url)
            yield Running(running, Path(output.name))
        finally:
            running.terminate()
            running.wait(60)


def wait_until_ready(running: "subprocess.Popen[bytes]", url: str) -> None:
    """Wait until the URL answers with 200. Raises TimeoutError."""
    give_up_at_s = time.monotonic() + _START_S
    while time.monotonic() < give_up_at_s:
        assert running.poll() is None, (
            f"it ended with status {running.returncode} before it was ready"
        )
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.2)
    raise TimeoutError(f"{url} was not ready")


def open_page(running: Browser, url: str, **settings: object) -> Page:
    """Return a fresh session of the interface in its own window, shown and ready."""
    return show_page(open_window(running, **settings), url)


def open_window(running: Browser, **settings: object) -> BrowserContext:
    """Return a window without pages, cookies or stored data."""
    window = running.new_context(permissions=["microphone"], locale="fr-FR", **settings)  # type: ignore[arg-type]
    window.set_default_timeout(60_000)
    return window


def show_page(window: BrowserContext, url: str) -> Page:
    """Return a fresh session of the interface, shown and ready. It has no data of earlier pages of the window."""
    page = window.new_page()
    everything = {"origin": url, "storageTypes": "cookies,local_storage,indexeddb"}
    window.new_cdp_session(page).send("Storage.clearDataForOrigin", everything)
    page.goto(url)
    page.get_by_role("tab").first.wait_for()
    settle(page)
    return page


def settle(page: Page) -> None:
    """Wait until the page's script has run."""
    page.wait_for_function(
        "() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
    )
