"""A tenant's voice on a NATS with users, through the whole service: stored, spoken, and erased, with the examples."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from services.common.bus import topology
from services.common.bus.library.resolving import VoiceResolver
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.nats.connection import NatsBus, connect
from services.common.wire import subjects
from services.common.wire.failures import UnknownVoice
from services.common.wire.identity import library_voice_key
from tests.deploy.manifests import ROOT
from tests.support.front import VOICE
from tests.support.guarded import Guarded, guarded_nats, guarded_service
from tests.support.messages import STORED_VOICE
from tests.support.service import TEXT, expected_pcm


@dataclass
class Tenant:
    """A tenant that runs the examples."""

    guarded: Guarded
    name: str
    recording: Path

    async def run(self, example: str, *arguments: str) -> tuple[bytes, str]:
        """Run an example; return its output, and the reason if it fails."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            ROOT / "examples" / example,
            self.guarded.url,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ
            | self.guarded.environment(f"tenant-{self.name}")
            | {"TENANT": self.name, "ENGINE": "tone"},
        )
        output, errors = await asyncio.wait_for(process.communicate(), 60)
        return output, "" if process.returncode == 0 else errors.decode()

    async def create(self, name: str) -> str:
        """Store the recording as a voice and return its id."""
        output, failure = await self.run(
            "nats_voices.py", "create", name, str(self.recording), "Anna Weber"
        )
        assert not failure
        return output.decode().split()[0]

    async def listed(self) -> list[str]:
        output, failure = await self.run("nats_voices.py", "list")
        assert not failure
        return [line for line in output.decode().splitlines() if not line.startswith("builtin")]

    async def speak(self, voice: str) -> tuple[bytes, str]:
        """Return the samples of a text in a voice, and the reason if there are none."""
        return await self.run("nats_client.py", f"voice={voice}", "en", TEXT)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    async with guarded_nats(tmp_path) as made:
        yield made


@pytest.fixture
async def service(guarded: Guarded, tmp_path: Path) -> AsyncIterator[str]:
    async with guarded_service(guarded, tmp_path) as address:
        yield address


@pytest.fixture
async def operator(guarded: Guarded) -> AsyncIterator[NatsBus]:
    bus = await connect(guarded.settings("operator"), name="operator")
    yield bus
    await bus.close()


async def stored(bus: NatsBus) -> set[str]:
    """Return all keys of stored and computed voices, and how many bytes their clips take."""
    held = {
        key
        for bucket in (topology.LIBRARY, topology.VOICES)
        for key in await bus.count_by_subject(f"KV_{bucket}", ">")
    }
    return held | {f"{(await bus.storage_use(f'OBJ_{topology.VOICE_CLIPS}')).used} bytes"}


async def test_stored_voices_are_used_in_the_roles_of_the_services(guarded: Guarded) -> None:
    buses = {
        role: await connect(guarded.settings(role), name=role)
        for role in ("edge", "splitter", "worker")
    }
    edge, splitter, worker = (VoiceLibrary(bus) for bus in buses.values())
    forgotten = await buses["worker"].subscribe(subjects.FORGETS, limit=10)
    made = await edge.create(
        msgspec.structs.replace(STORED_VOICE, tenant="acme", name="Anna", leftovers=()), [VOICE]
    )
    preview = library_voice_key("acme", made.voice, 1, "preview.tone.1.en")
    await buses["edge"].put_value(topology.VOICES, preview, b"preview")
    assert await buses["edge"].get_value(topology.VOICES, preview) == b"preview"

    chosen = await VoiceResolver(splitter).resolve("acme", "anna", [])
    assert chosen.reference == f"{made.voice}@1"
    with pytest.raises(UnknownVoice, match="nearest names are Anna"):
        await VoiceResolver(splitter).resolve("acme", "Anja", [])

    assert await worker.read("acme", made.voice) == made
    assert await worker.clips(made) == [VOICE]
    computed = library_voice_key("acme", made.voice, 1, "tone.1")
    await buses["worker"].put_value(topology.VOICES, computed, b"computed")
    await buses["worker"].drop_value(topology.VOICES, computed)
    assert await buses["worker"].get_value(topology.VOICES, computed) is None
    await buses["worker"].put_value(topology.VOICES, computed, b"computed")

    await edge.change("acme", made.voice, lambda now: msgspec.structs.replace(now, name="Anne"))
    assert (await edge.replace_clips("acme", made.voice, [VOICE + b"\0\0"])).revision == 2
    assert [voice.name for voice in (await edge.page("acme", limit=5)).voices] == ["Anne"]
    assert await edge.delete("acme", made.voice)
    assert await forgotten.next(5) is not None
    for key in (preview, computed):
        assert await buses["worker"].get_value(topology.VOICES, key) is None
    assert await worker.read("acme", made.voice) is None
    await forgotten.close()
    for bus in buses.values():
        await bus.close()


@pytest.mark.usefixtures("service")
async def test_a_tenant_stores_a_voice_speaks_with_it_and_erases_it(
    guarded: Guarded, operator: NatsBus, tmp_path: Path
) -> None:
    recording = tmp_path / "recording.wav"
    recording.write_bytes(VOICE)
    acme = Tenant(guarded, "acme", recording)
    globex = Tenant(guarded, "globex", recording)
    before = await stored(operator)

    voice = await acme.create("Anna")
    assert await acme.listed() == [f"{voice} Anna"]
    assert await globex.listed() == []

    for given in ("anna", voice):
        samples, failure = await acme.speak(given)
        assert not failure
        assert samples == expected_pcm(TEXT, seed=1, max_characters=250)
    for given in ("Anna", voice, f"{voice}@1"):
        samples, failure = await globex.speak(given)
        assert not samples
        assert "unknown_voice" in failure

    _, failure = await globex.run("nats_voices.py", "delete", voice)
    assert "unknown_voice" in failure
    output, failure = await acme.run("nats_voices.py", "delete", "Anna")
    assert (output.decode().split(), failure) == (["deleted", voice], "")
    assert await acme.listed() == []
    assert await stored(operator) == before
    samples, failure = await acme.speak("Anna")
    assert not samples
    assert "unknown_voice" in failure


@pytest.mark.usefixtures("service")
async def test_a_request_without_a_voice_has_the_default_voice_of_its_language(
    guarded: Guarded, tmp_path: Path
) -> None:
    acme = Tenant(guarded, "acme", tmp_path)
    samples, failure = await acme.speak("")
    assert not failure
    assert samples == expected_pcm(TEXT, seed=1, max_characters=250)
