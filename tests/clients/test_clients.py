"""Clients of other projects, unmodified, against `/v1`: each is a script that prints what it received."""

import hashlib

import pytest

from services.common.runtime.local_nats import free_port
from services.http_edge.intake.openai.openai_body import ALIASES
from services.http_edge.intake.openai.openai_voices import OPENAI_VOICES
from tests.support import node
from tests.support.clients import PYTHON, SCRIPTS, WYOMING, printed, python, running
from tests.support.front import Front
from tests.support.service import TEXT, expected_pcm

SECONDS = len(expected_pcm()) / 48_000
EXPECTED = hashlib.sha256(expected_pcm()).hexdigest()


async def test_livekit_synthesizes_the_expected_samples(service: Front) -> None:
    base_url = f"{service.addresses[0]}/v1"
    count = str(len(expected_pcm()))
    found = await printed(python(), SCRIPTS / "livekit_speech.py", base_url, TEXT, count)
    for way in ("events", "audio"):
        assert found[way]["sha256"] == EXPECTED, way
        assert found[way]["sample_rate"] == 24_000
        assert found[way]["seconds"] == pytest.approx(SECONDS, abs=0.15)
    for way in ("mp3", "opus"):
        assert found[way]["seconds"] == pytest.approx(SECONDS, abs=0.15), way
    assert found["adapted"]["seconds"] > 0.8 * SECONDS  # without the pauses between sentences
    assert found["refused"] == {"status": 404, "retryable": False}


async def test_pipecat_speaks_the_expected_samples(service: Front) -> None:
    base_url = f"{service.addresses[0]}/v1"
    found = await printed(python(), SCRIPTS / "pipecat_speech.py", base_url, TEXT)
    assert found["spoken"]["bytes"] == len(expected_pcm())
    assert found["spoken"]["sha256"] == EXPECTED
    assert found["spoken"]["sample_rates"] == [24_000]
    assert "speed must be a number" in found["refused"]


@pytest.mark.skipif(
    PYTHON.exists() and not WYOMING.exists(),
    reason="wyoming_openai needs Python 3.12 or later: Debian 13's could not be downloaded",
)
async def test_wyoming_openai_lists_the_voices_and_speaks(service: Front) -> None:
    uri = f"tcp://127.0.0.1:{free_port()}"
    server = (
        *(WYOMING, "-m", "wyoming_openai", "--uri", uri, "--languages", "en"),
        *("--tts-openai-url", f"{service.addresses[0]}/v1", "--tts-backend", "KOKORO_FASTAPI"),
        *("--tts-models", "gpt-4o-mini-tts", "--tts-streaming-models", "gpt-4o-mini-tts"),
    )
    async with running(*server):
        found = await printed(python(), SCRIPTS / "wyoming_speech.py", uri, "alloy", TEXT)
    names = {voice["name"] for voice in found["voices"]}
    assert {"low", "high", *OPENAI_VOICES} <= names
    assert all(voice["languages"] == ["en"] for voice in found["voices"])
    assert found["whole"] == {
        "sha256": EXPECTED,
        "bytes": len(expected_pcm()),
        "rates": [24_000],
    }
    assert found["streamed"]["rates"] == [24_000]
    assert found["streamed"]["bytes"] > 0.8 * len(expected_pcm())  # without some of the pauses


async def test_openai_node_gets_the_expected_samples_events_and_errors(service: Front) -> None:
    folder = await node.installed(SCRIPTS)
    script = folder / "openai_speech.mjs"
    found = await printed(node.program("node"), script, f"{service.addresses[0]}/v1", TEXT)
    for way in ("whole", "streamed", "events"):
        assert found[way] == EXPECTED, way
    assert found["last"]["type"] == "speech.audio.done"
    assert found["last"]["usage"]["input_tokens"] == len(TEXT)
    assert found["mp3"] == "audio/mpeg"
    assert found["models"] == ["tone", *ALIASES]
    assert found["model"] == "tts-1"
    assert found["errors"] == {
        "voice": refusal("NotFoundError", 404, "unknown_voice", "voice"),
        "model": refusal("NotFoundError", 404, "model_not_found", "model"),
        "speed": refusal("BadRequestError", 400, "bad_request", "speed"),
        "input": refusal("UnprocessableEntityError", 422, "empty_text", "input"),
    }


def refusal(kind: str, status: int, code: str, param: str) -> dict[str, object]:
    """Return what the script prints of an error."""
    return {"class": kind, "status": status, "code": code, "param": param}
