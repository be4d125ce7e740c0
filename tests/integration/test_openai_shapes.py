"""The requests of programs that speak OpenAI's API without a library of OpenAI, as their sources send them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from services.http_edge.intake.openai.openai_voices import OPENAI_VOICES
from tests.support.front import SETTINGS, Front, front

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json"}
MP3 = "audio/mpeg"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with front(tmp_path_factory.mktemp("nats")) as made:
        yield made


async def speak(
    service: Front, body: dict[str, Any], **headers: str
) -> tuple[int, str, dict[str, Any]]:
    """Return the status, the type and, if it is JSON, the body of an answer."""
    async with service.session.post(
        f"{service.addresses[0]}/v1/audio/speech", json=body, headers=JSON | headers
    ) as response:
        kind = response.headers["Content-Type"]
        await response.read()
        return response.status, kind, await response.json() if "json" in kind else {}


# open-webui/open-webui: backend/open_webui/routers/audio.py, speech()
async def test_open_webui_speaks(service: Front) -> None:
    body = {"input": "Good morning, everyone.", "voice": "alloy", "model": "tts-1"}
    user = {"X-OpenWebUI-User-Name": "Anna", "X-OpenWebUI-User-Email": "anna@example.org"}
    for authorization in ("Bearer ", "Bearer sk-111", "Bearer None"):
        status, kind, _ = await speak(service, body, Authorization=authorization, **user)
        assert (status, kind) == (200, MP3)


# the same file: the message of an error is shown as `External: {error.message}`
async def test_open_webui_finds_the_message_of_an_error(service: Front) -> None:
    body = {"input": "Good morning.", "voice": "zzqqxx", "model": "tts-1"}
    status, _, found = await speak(service, body, Authorization="Bearer ")
    assert status == 404
    assert found["error"]["message"]


# the same file: get_available_models() and get_available_voices(), without a key
async def test_open_webui_lists_models_and_voices(service: Front) -> None:
    async with await service.get("/v1/audio/models") as response:
        models = (await response.json())["models"]
    async with await service.get("/v1/audio/voices") as response:
        voices = {voice["id"]: voice["name"] for voice in (await response.json())["voices"]}
    assert {"tone", "tts-1"} <= {model["id"] for model in models}
    assert {"low", *OPENAI_VOICES} <= voices.keys()


# SillyTavern/SillyTavern: src/endpoints/openai.js, /custom/generate-voice; the key may be empty
async def test_silly_tavern_speaks(service: Front) -> None:
    body = {
        "input": "Good morning, everyone.",
        "response_format": "mp3",
        "voice": "alloy",
        "speed": 1,
        "model": "tts-1",
    }
    status, kind, _ = await speak(service, body, Authorization="Bearer ")
    assert (status, kind) == (200, MP3)


# Mintplex-Labs/anything-llm: server/utils/TextToSpeech/openAiGeneric/index.js: openai-node, without a format. An empty
# voice passes its `??`.
async def test_anything_llm_speaks(service: Front) -> None:
    for voice in ("alloy", ""):
        body = {"model": "tts-1", "voice": voice, "input": "Good morning, everyone."}
        status, kind, _ = await speak(service, body, Accept="application/octet-stream")
        assert (status, kind) == (200, MP3), voice


# danny-avila/LibreChat: api/server/services/Files/Audio/TTSService.js: openAIProvider() and localAIProvider()
async def test_libre_chat_speaks(service: Front) -> None:
    for body in (
        {"input": "Good morning, everyone.", "model": "tts-1", "voice": "nova"},
        {"input": "Good morning, everyone.", "model": "tts-1", "backend": "piper"},
        {"input": "Good morning, everyone.", "backend": "piper"},
    ):
        accept = "application/json, text/plain, */*"  # of axios
        status, kind, _ = await speak(service, body, Authorization="Bearer ", Accept=accept)
        assert (status, kind) == (200, MP3), body


# a browser, as in the web pages of Kokoro-FastAPI and openedai-speech
async def test_a_page_of_an_allowed_origin_may_speak(tmp_path: Path) -> None:
    page = "https://page.example"
    async with front(tmp_path, settings=replace(SETTINGS, cors_origins=page)) as service:
        asked = {
            "Origin": page,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        url = f"{service.addresses[0]}/v1/audio/speech"
        async with service.session.options(url, headers=asked) as response:
            assert response.status < 300
            assert response.headers["Access-Control-Allow-Origin"] == page
            allowed = response.headers["Access-Control-Allow-Headers"].lower()
        assert "authorization" in allowed
        assert "content-type" in allowed
        body = {"model": "tts-1", "input": "Good morning.", "voice": "alloy"}
        async with service.session.post(url, json=body, headers={"Origin": page}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == page
