"""The shipped configuration of NATS encrypts what it stores: no recording and no text is readable in its files."""

import asyncio
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from services.admin import nats_users
from services.common.audio.wav import wav_header
from services.common.bus import topology
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import find_nats_server, free_port
from services.common.wire.voices import Voice
from tests.deploy.manifests import ROOT
from tests.support.messages import CONSENT, STORED_VOICE

PCM = secrets.token_bytes(200_000)  # cannot be compressed away
WAV = wav_header(sample_rate_hz=24_000, data_bytes=len(PCM)) + PCM
STATEMENT = "may be cloned for the audio guide of the museum"
INCLUDE = "include ./keys/store-key.conf"


def configured(folder: Path, *, encrypted: bool = True) -> None:
    """Set up a server as documented, in this folder; or as earlier releases did, without a key."""
    text = (ROOT / "deploy" / "nats" / "nats.conf").read_text()
    assert INCLUDE in text
    if encrypted:
        (folder / "keys").mkdir(exist_ok=True)
        nats_users.store_key(folder / "keys")
    (folder / "nats.conf").write_text(text if encrypted else text.replace(INCLUDE, ""))


@asynccontextmanager
async def library(folder: Path) -> AsyncIterator[VoiceLibrary]:
    """Run the server and yield the library in it; its files are complete once it has stopped."""
    port = free_port()
    ports = ["--port", str(port), "--http_port", str(free_port())]
    running = await asyncio.create_subprocess_exec(
        find_nats_server(), "-c", "nats.conf", *ports, "-l", "log", cwd=folder, env={}
    )
    try:
        bus = await NatsBus.connect(f"nats://127.0.0.1:{port}", name="test", patience_s=10)
        await bus.establish(topology.topology())
        yield VoiceLibrary(bus)
        await bus.close()
    finally:
        running.terminate()
        await running.wait()


def draft() -> Voice:
    consent = msgspec.structs.replace(CONSENT, statement=STATEMENT)
    return msgspec.structs.replace(STORED_VOICE, consent=consent, leftovers=())


def readable(folder: Path) -> set[str]:
    """Return what of a voice is found in the files of the server."""
    secret = {"clip": PCM[100_000:100_016], "header": WAV[:44], "consent": STATEMENT.encode()}
    contents = [path.read_bytes() for path in (folder / "data").rglob("*") if path.is_file()]
    assert sum(map(len, contents)) > len(PCM)
    return {name for name, part in secret.items() if any(part in each for each in contents)}


async def test_nothing_of_a_voice_is_readable_in_the_files_and_it_survives_a_restart(
    tmp_path: Path,
) -> None:
    configured(tmp_path)
    async with library(tmp_path) as voices:
        made = await voices.create(draft(), [WAV])
    assert readable(tmp_path) == set()
    async with library(tmp_path) as voices:
        assert await voices.require("public", "Anna") == made
        assert await voices.clips(made) == [WAV]


async def test_a_deleted_recording_is_overwritten_in_the_files(tmp_path: Path) -> None:
    configured(tmp_path, encrypted=False)
    async with library(tmp_path) as voices:
        kept = []
        for number in range(4):  # share a file with it, so that the server has no reason to rewrite
            other = wav_header(sample_rate_hz=24_000, data_bytes=400_000)
            other += secrets.token_bytes(400_000)
            named = msgspec.structs.replace(STORED_VOICE, name=f"Other {number}", leftovers=())
            kept.append((await voices.create(named, [other]), other))
            if number == 1:
                made = await voices.create(draft(), [WAV])
        await voices.delete("public", made.voice)
        for voice, other in kept:
            assert await voices.clips(voice) == [other]
    contents = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
    parts = [PCM[at : at + 16] for at in range(0, len(PCM), 10_000)]
    assert not any(part in content for part in parts for content in contents)
    assert any(kept[0][1][1000:1016] in content for content in contents)


async def test_a_store_of_an_earlier_release_is_encrypted_at_the_next_start(
    tmp_path: Path,
) -> None:
    configured(tmp_path, encrypted=False)
    async with library(tmp_path) as voices:
        made = await voices.create(draft(), [WAV])
    assert readable(tmp_path) == {"clip", "header", "consent"}
    configured(tmp_path)
    async with library(tmp_path) as voices:
        assert await voices.clips(made) == [WAV]
    assert readable(tmp_path) == set()


async def test_the_files_alone_do_not_give_the_voice_to_another_server(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    configured(own)
    async with library(own) as voices:
        await voices.create(draft(), [WAV])
    thief = tmp_path / "thief"
    thief.mkdir()
    configured(thief)
    shutil.copytree(own / "data", thief / "data")
    assert (own / "keys/store-key.conf").read_text() != (thief / "keys/store-key.conf").read_text()
    async with library(thief) as voices:
        assert await voices.tenants() == []


@pytest.mark.parametrize("name", ["nats.conf", "secure.conf"])
def test_a_server_without_its_key_does_not_start(name: str, tmp_path: Path) -> None:
    for each in ("nats.conf", "secure.conf"):
        shutil.copy(ROOT / "deploy" / "nats" / each, tmp_path)
    done = subprocess.run(
        [find_nats_server(), "-t", "-c", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "store-key.conf" in done.stderr
