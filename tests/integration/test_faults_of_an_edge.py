"""The edge's answers when its disk is full or its own code fails."""

import errno
import io
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.http_edge.http import speech_routes
from services.http_edge.intake import acceptance
from tests.support.front import Front, front
from tests.support.service import TEXT, expected_pcm
from tests.support.wav import pcm_of

SECRET = "a word of the text"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Front]:
    async with front(tmp_path) as made:
        yield made


class FullDisk(io.BytesIO):
    """A file on a full disk."""

    number: int = errno.ENOSPC

    def fileno(self) -> int:
        return 0

    def write(self, _content: object) -> int:  # type: ignore[override]
        raise OSError(self.number, os.strerror(self.number))


async def problem(service: Front, path: str) -> tuple[int, str, str]:
    async with await service.post(path) as response:
        assert response.content_type == "application/problem+json", await response.text()
        body = await response.json(content_type=None)
        assert body["request_id"] == response.headers["Request-Name"]
        return response.status, body["code"], response.headers.get("Retry-After", "")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_a_503_for_uploads_and_answers(
    service: Front, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(FullDisk, "number", number)
    with monkeypatch.context() as full:
        full.setattr(tempfile, "TemporaryFile", FullDisk)
        for path in ("/synthesize", "/stream", "/jobs"):
            assert await problem(service, path) == (503, "insufficient_storage", "10")
    with monkeypatch.context() as full:
        full.setattr(tempfile, "SpooledTemporaryFile", lambda **_: FullDisk())
        assert await problem(service, "/synthesize") == (503, "insufficient_storage", "10")
    with monkeypatch.context() as full:
        full.setattr(speech_routes, "MEMORY_BYTES", 1024)
        assert pcm_of(await (await service.post("/synthesize")).read()) == expected_pcm(TEXT)


async def test_a_fault_is_a_problem_with_the_request_id_and_the_log_quotes_no_text(
    service: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_form: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(acceptance, "understood", fail)
    with capture_logs() as logs:
        assert await problem(service, "/synthesize") == (500, "internal", "")
    [fault] = [entry for entry in logs if entry["event"] == "unexpected_failure"]
    assert fault["error"] == "ValueError"
    assert "fail" in fault["places"][-1]
    assert SECRET not in repr(logs)
