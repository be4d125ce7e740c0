"""The running service conforms to its OpenAPI document: edge, splitter, tone worker and nats-server.

Schemathesis derives requests from the document, valid and invalid, the same ones in each run.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from services.admin import keys as api_keys
from services.common.runtime.local_nats import free_port
from tests.support.browser import process
from tests.support.front import VOICE
from tests.support.schemathesis import CHECKS, conformance

CONSENT = '{"speaker": "A", "statement": "I agree.", "date": "2026-01-31", "method": "written"}'


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    port = free_port()
    at = f"http://127.0.0.1:{port}"
    arguments = ("run", "--workers", "1", "--port", str(port), "--no-ui")
    with process("services", *arguments, ready_url=f"{at}/readyz", ENGINE="tone"):
        yield at


def posted(url: str, **fields: str | bytes) -> requests.Response:
    """Return the response to a form; bytes are a file."""
    files = {
        name: ("file", value) if isinstance(value, bytes) else (None, value)
        for name, value in fields.items()
    }
    response = requests.post(url, files=files, timeout=60)
    assert response.ok, response.text
    return response


def test_every_operation_conforms_to_the_document(address: str, tmp_path: Path) -> None:
    found = conformance(
        address, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "5"
    )
    assert "Tested: " in found


def test_responses_about_what_exists_conform_to_the_document(address: str, tmp_path: Path) -> None:
    posted(f"{address}/voices", name="Anna", consent=CONSENT, reference_audio=VOICE)
    job = posted(f"{address}/jobs", text="One. Two.", language="en", voice="Anna").json()["id"]
    requests.get(f"{address}/jobs/{job}/audio", timeout=60).raise_for_status()
    stream = posted(f"{address}/stream", text="One. Two.", language="en")
    name = stream.headers["Request-Name"]
    config = f"""
[[operations]]
include-path-regex = "^/jobs/"
parameters = {{ "path.id" = "{job}" }}

[[operations]]
include-path-regex = "^/requests/"
parameters = {{ "path.id" = "{name}" }}

[[operations]]
include-path-regex = "^/voices/"
parameters = {{ "path.voice" = "Anna" }}

[[operations]]
include-path-regex = "^/v1/models/"
parameters = {{ "path.model" = "tts-1" }}
"""
    found = conformance(
        address,
        tmp_path,
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "5",
        "--include-method",
        "GET",
        config=config,
    )
    assert "returned only 404" not in found


def test_paths_that_need_a_key_refuse_requests_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys.toml"
    api_keys.main([str(keys), "--name", "acme-web", "--tenant", "acme"])
    key = capsys.readouterr().out.strip()
    port = free_port()
    at = f"http://127.0.0.1:{port}"
    arguments = ("run", "--workers", "1", "--port", str(port), "--no-ui")
    keyed = {"ENGINE": "tone", "API_KEYS_FILE": str(keys)}
    with process("services", *arguments, ready_url=f"{at}/readyz", **keyed):
        found = conformance(
            at,
            tmp_path,
            "--phases",
            "fuzzing",
            "--max-examples",
            "2",
            "--header",
            f"Authorization: Bearer {key}",
            checks=(*CHECKS, "ignored_auth"),
        )
    assert "Tested: " in found
