"""A recording of 200 MB: a real browser, the real nginx configuration, and the real web UI behind it.

Streamlit refuses an upload without its XSRF cookie and header with 403, and one of an unknown session with 400, before
it looks at the size. So only an upload of the page itself shows that the limits are right.
"""

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Page, expect

from services.common.runtime.local_nats import free_port
from tests.deploy.test_nginx import UI, configure, nginx_program, valid
from tests.support.browser import browser, open_page, process, settle, wait_until_ready
from tests.support.recordings import CLIP_FILE

_LARGEST = 200_000_000  # bytes of a file, as Streamlit's page counts them


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Open the web UI through nginx; there is no service behind it."""
    folder, port, ui_port = tmp_path / "nginx", free_port(), free_port()
    folder.mkdir()
    configure(
        folder,
        port=port,
        plain_port=free_port(),
        edge=f"127.0.0.1:{free_port()}",
        interface=f"127.0.0.1:{ui_port}",
    )
    program = nginx_program()
    valid(program, folder)
    settings = {
        "UI_PORT": str(ui_port),
        "SERVICE_URL": f"http://127.0.0.1:{free_port()}",
        "ALLOWED_HOSTS": UI,
    }
    with process("ui", ready_url=f"http://127.0.0.1:{ui_port}/_stcore/health", **settings):
        nginx = subprocess.Popen([program, "-c", folder / "nginx.conf"])
        try:
            wait_until_ready(nginx, f"http://127.0.0.1:{ui_port}/_stcore/health")
            # nginx passes the host on without a port, and Streamlit compares it with the page's origin
            as_443 = f"--host-resolver-rules=MAP {UI}:443 127.0.0.1:{port}"
            with browser(CLIP_FILE, as_443) as chrome:
                shown = open_page(chrome, f"https://{UI}", ignore_https_errors=True)
                yield shown
                expect(shown.get_by_test_id("stException")).to_have_count(0)
        finally:
            nginx.terminate()
            nginx.wait(60)


def large_recording(path: Path, size: int) -> None:
    """Write a WAV file of this size that begins with speech; the rest is a hole on the disk."""
    samples, rate_hz = soundfile.read(CLIP_FILE, dtype="int16")
    soundfile.write(path, samples, rate_hz, subtype="PCM_16")
    with path.open("r+b") as file:
        file.truncate(size)
        file.seek(4)
        file.write(struct.pack("<I", size - 8))
        file.seek(40)
        assert path.read_bytes()[36:40] == b"data"
        file.write(struct.pack("<I", size - 44))


def uploads(page: Page) -> list[int]:
    """Return the statuses of uploads, as they are answered."""
    statuses: list[int] = []
    page.on(
        "response",
        lambda response: (
            statuses.append(response.status) if "/upload_file/" in response.url else None
        ),
    )
    return statuses


def test_a_recording_of_200_megabytes_becomes_a_voice_and_a_larger_one_is_not_sent(
    page: Page, tmp_path: Path
) -> None:
    statuses = uploads(page)
    panel = page.get_by_role("tabpanel", name="Synthèse rapide")
    chooser = panel.get_by_test_id("stFileUploader").locator("input")

    large = tmp_path / "large.wav"
    large_recording(large, _LARGEST)
    chooser.set_input_files(large)
    expect(panel.get_by_text("large.wav").first).to_be_visible()
    expect(panel.get_by_text("La personne qui parle est d’accord")).to_be_visible()
    settle(page)
    assert statuses == [204]

    larger = large.rename(tmp_path / "larger.wav")
    large_recording(larger, _LARGEST + 100_000)
    chooser.set_input_files(larger)
    expect(panel.get_by_text("Le fichier dépasse la limite de 200.0MB")).to_be_visible()
    assert statuses == [204]
