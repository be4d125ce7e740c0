"""Clients of the bus in Python and Node: the examples against a real service, and what Node's encoders write."""

import asyncio
import base64
import json
import os
import signal
import sys
import wave
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import msgpack
import msgspec
import pytest
from jsonschema import Draft7Validator

from services.common.bus import topology
from services.common.runtime.local_nats import local_nats
from services.common.wire import codec
from services.common.wire.messages import (
    CancelSpeech,
    Message,
    NormalizeText,
    SpeechRequest,
    StoreClip,
)
from services.common.wire.voices import VoiceCommand
from tests.support import node
from tests.support.front import SETTINGS, VOICE, Front, front
from tests.support.messages import EXAMPLES
from tests.support.service import TEXT, expected_pcm
from tools.schemas.documents import asyncapi, documents

EXAMPLE_FOLDER = node.ROOT / "examples"
COMMANDS = [
    message
    for message in EXAMPLES
    if isinstance(message, SpeechRequest | CancelSpeech | NormalizeText | StoreClip | VoiceCommand)
]


@pytest.fixture
async def service(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    (tmp_path / "nats").mkdir()
    async with front(
        tmp_path / "nats",
        settings=SETTINGS,
        real_time_factor=getattr(request, "param", 0.0),
    ) as made:
        yield made


def url(service: Front) -> str:
    return service.bus._client.connected_url.geturl()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording.wav"
    path.write_bytes(VOICE)
    return path


async def start_node(*arguments: str | Path) -> Process:
    folder = await node.installed(EXAMPLE_FOLDER)
    return await asyncio.create_subprocess_exec(
        node.program("node"), "nats_client.mjs", *arguments, cwd=folder, stderr=PIPE
    )


async def start_python(*arguments: str | Path) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, EXAMPLE_FOLDER / "nats_client.py", *arguments), stdout=PIPE, stderr=PIPE
    )


async def result(process: Process) -> tuple[int | None, bytes, str]:
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output or b"", errors.decode()


@pytest.mark.parametrize("reference", ["recording", "voice=low", "voice="])
async def test_the_node_example_writes_the_whole_audio(
    service: Front, recording: Path, tmp_path: Path, reference: str
) -> None:
    out = tmp_path / "out.wav"
    speaker = recording if reference == "recording" else reference
    status, _, errors = await result(await start_node(url(service), speaker, "en", TEXT, out))
    assert status == 0, errors
    with wave.open(str(out)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 24_000)
        assert wav.readframes(wav.getnframes()) == expected_pcm(TEXT, seed=1)
        assert out.stat().st_size == 44 + 2 * wav.getnframes()


async def test_the_python_example_asks_for_the_engine(service: Front, recording: Path) -> None:
    status, audio, errors = await result(await start_python(url(service), recording, "en", TEXT))
    assert status == 0, errors
    assert audio == expected_pcm(TEXT, seed=1)


@pytest.mark.parametrize("start", ["node", "python"])
async def test_a_failure_is_reported_with_its_code(
    service: Front, tmp_path: Path, start: str
) -> None:
    arguments: list[str | Path] = [url(service), "voice=Nobody", "en", TEXT]
    process = await (
        start_node(*arguments, tmp_path / "out.wav")
        if start == "node"
        else start_python(*arguments)
    )
    status, _, errors = await result(process)
    assert status == 1
    assert errors.startswith("unknown_voice: no voice has this name or id")


@pytest.mark.parametrize("start", ["node", "python"])
async def test_without_a_worker_for_the_language_the_example_ends(
    tmp_path: Path, start: str
) -> None:
    async with local_nats(tmp_path) as server:
        arguments = [server.url, "voice=", "en", TEXT]
        process = await (
            start_node(*arguments, tmp_path / "out.wav")
            if start == "node"
            else start_python(*arguments)
        )
        status, _, errors = await result(process)
    assert (status, errors.strip()) == (1, "no worker is ready for the language en")


@pytest.mark.parametrize("service", [0.3], indirect=True)
@pytest.mark.parametrize("start", ["node", "python"])
async def test_an_interrupt_cancels_the_request(service: Front, tmp_path: Path, start: str) -> None:
    text = " ".join(f"{TEXT} That was number {number}." for number in range(30))
    arguments: list[str | Path] = [url(service), "voice=", "en", text]
    process = await (
        start_node(*arguments, tmp_path / "out.wav")
        if start == "node"
        else start_python(*arguments)
    )
    async with asyncio.timeout(60):
        while not await service.spoken():
            await asyncio.sleep(0.05)

    process.send_signal(signal.SIGINT)
    status, _, errors = await result(process)
    assert status == 1
    assert "cancelled" in errors
    await service.until_idle()
    assert await service.spoken() < 60


async def test_a_client_that_was_paused_gets_the_whole_audio(
    service: Front, tmp_path: Path
) -> None:
    out = tmp_path / "out.wav"
    text = " ".join(f"{TEXT} That was number {number}." for number in range(30))
    process = await start_node(url(service), "voice=", "en", text, out)
    async with asyncio.timeout(60):
        while not await service.bus.message_count(topology.AUDIO):
            await asyncio.sleep(0.01)

    process.send_signal(signal.SIGSTOP)
    await service.until_idle()
    process.send_signal(signal.SIGCONT)
    status, _, errors = await result(process)
    assert status == 0, errors
    with wave.open(str(out)) as wav:
        assert wav.readframes(wav.getnframes()) == expected_pcm(text, seed=1)


def for_node(value: object) -> Any:
    """Return a value as JSON that `encode.mjs` restores."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [for_node(inner) for inner in value]
    if isinstance(value, dict):
        return {name: for_node(inner) for name, inner in value.items()}
    return value


@pytest.mark.parametrize("message", COMMANDS, ids=lambda message: type(message).__name__)
async def test_commands_are_read_as_the_encoders_of_node_write_them(message: Message) -> None:
    sent = msgpack.unpackb(codec.encode(message))
    absent = [
        field.encode_name
        for field in msgspec.structs.fields(type(message))
        if field.encode_name not in sent and type(None) not in get_args(field.type)
    ]
    undefined = {name: {"$undefined": True} for name in absent}
    process = await asyncio.create_subprocess_exec(
        *(node.program("node"), "encode.mjs"),
        cwd=await node.installed(node.ROOT / "tests" / "node"),
        stdin=PIPE,
        stdout=PIPE,
    )
    given = for_node(sent) | undefined | {"unknown": {"a": [1, 2.5, None]}}
    written, _ = await asyncio.wait_for(process.communicate(json.dumps(given).encode()), 30)
    assert process.returncode == 0

    encodings: dict[str, str] = json.loads(written)
    assert len(encodings) == 7
    for encoder, payload in encodings.items():
        assert codec.decode(bytes.fromhex(payload), type(message)) == message, encoder


async def test_the_asyncapi_document_is_valid_by_the_official_schema() -> None:
    folder = await node.installed(node.ROOT / "tests" / "node")
    official = folder / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    validator = Draft7Validator(json.loads(official.read_text()))
    validator.validate(asyncapi())

    broken = asyncapi()
    broken["operations"]["request"]["action"] = "listen"
    assert not validator.is_valid(broken)
    del (without := asyncapi())["info"]["title"]
    assert not validator.is_valid(without)


async def test_every_pattern_of_the_schemas_is_one_of_ecmascript() -> None:
    program = """
        const walk = (value) => {
          if (typeof value?.pattern === "string") new RegExp(value.pattern, "u");
          if (value && typeof value === "object") Object.values(value).forEach(walk);
        };
        walk(JSON.parse(require("fs").readFileSync(0, "utf8")));
    """
    process = await asyncio.create_subprocess_exec(
        node.program("node"), "-e", program, stdin=PIPE, env=os.environ
    )
    every = json.dumps([json.loads(content) for content in documents().values()])
    await asyncio.wait_for(process.communicate(every.encode()), 30)
    assert process.returncode == 0
