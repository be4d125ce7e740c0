"""The API page in a real browser, at the edge and behind a proxy with a path prefix."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from services.common.runtime.local_nats import free_port
from services.http_edge.api_document.document import OPERATIONS
from tests.support.browser import browser, process, wait_until_ready
from tests.support.recordings import CLIP_FILE

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    server {{
        listen 127.0.0.1:{port};
        location /speech/ {{
            proxy_pass http://127.0.0.1:{edge}/;
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


@contextmanager
def prefixed(folder: Path, edge: int) -> Iterator[str]:
    """Run nginx, which serves the edge under /speech/, while the block runs."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, edge=edge))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    running = subprocess.Popen([program, "-c", str(config), "-e", str(folder / "error.log")])
    try:
        address = f"http://127.0.0.1:{port}/speech"
        wait_until_ready(running, f"{address}/livez")
        yield address
    finally:
        running.terminate()
        running.wait(30)


@pytest.fixture(scope="module", params=["at the edge", "behind a prefix"])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    port = free_port()
    at = f"http://127.0.0.1:{port}"
    arguments = ("run", "--workers", "1", "--port", str(port), "--no-ui")
    with process("services", *arguments, ready_url=f"{at}/readyz", ENGINE="tone"):
        if request.param == "at the edge":
            yield at
        else:
            with prefixed(tmp_path_factory.mktemp("nginx"), port) as found:
                yield found


@pytest.fixture(scope="module")
def running() -> Iterator[Browser]:
    with browser(CLIP_FILE) as started:
        yield started


@dataclass
class Visit:
    """A page, its requests, and the messages on its console."""

    page: Page
    requested: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.on(
            "console",
            lambda message: (
                self.complaints.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))


@pytest.fixture
def visit(running: Browser) -> Iterator[Visit]:
    context = running.new_context()
    visited = Visit(context.new_page())
    visited.watch()
    yield visited
    context.close()


def test_the_page_lists_every_operation_and_asks_no_other_host(address: str, visit: Visit) -> None:
    visit.page.goto(f"{address}/docs")
    expect(visit.page.locator(".opblock")).to_have_count(len(OPERATIONS))
    outside = [
        url
        for url in visit.requested
        if not url.startswith((f"{address}/", "data:")) and url != address
    ]
    assert outside == []
    assert visit.complaints == []


def test_an_operation_can_be_tried(address: str, visit: Visit) -> None:
    visit.page.goto(f"{address}/docs")
    operation = visit.page.locator("#operations-service-languages")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text(
        "200"
    )
    assert f"{address}/languages" in visit.requested
    assert visit.complaints == []


def test_the_start_page_leads_to_the_api_page(address: str, visit: Visit) -> None:
    visit.page.goto(f"{address}/")
    visit.page.get_by_role("link", name="API reference").click()
    expect(visit.page.locator(".opblock").first).to_be_visible()
    assert visit.complaints == []
