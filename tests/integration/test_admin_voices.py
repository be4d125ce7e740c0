"""The operator's commands for voices, on a real nats-server."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.admin.voices import Refused, VoiceCommands, parser
from services.common.audio.wav import wav_header
from services.common.bus import topology
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.nats.connection import NatsBus
from services.common.bus.ports import Bus
from services.common.runtime.local_nats import local_nats
from services.common.voice_file import unpack_voice
from services.common.voice_tensors import unpack_tensors
from services.common.wire.failures import MalformedMessage, UnknownVoice, VoiceNameTaken
from services.common.wire.voices import SHARED_TENANT, Voice
from tests.support.buses import nats_bus
from tests.support.messages import CONSENT, STORED_VOICE

WAV = wav_header(sample_rate_hz=8_000, data_bytes=32_000) + b"\x01\x02" * 16_000


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    (tmp_path / "nats").mkdir()
    async with nats_bus(tmp_path / "nats") as bus:
        yield bus


def draft(name: str = "Anna", tenant: str = "acme") -> Voice:
    return msgspec.structs.replace(STORED_VOICE, name=name, tenant=tenant, leftovers=())


async def run(bus: Bus, *arguments: str, confirmed: bool = True) -> list[str]:
    """Run a command with this answer to its question."""

    async def confirm(_question: str) -> bool:
        return confirmed

    choice = parser().parse_args(arguments)
    lines: list[str] = await choice.act(VoiceCommands(VoiceLibrary(bus), confirm), choice)
    return lines


async def test_voices_are_listed_by_tenant_and_shown_without_their_clips(bus: Bus) -> None:
    assert await run(bus, "list") == ["No voices."]
    anna = await VoiceLibrary(bus).create(draft("Anna"), [WAV])
    await VoiceLibrary(bus).create(draft("Bert", "globex"), [WAV])
    assert len(await run(bus, "list")) == 2
    [line] = await run(bus, "list", "--tenant", "acme")
    assert line.startswith(f"{anna.voice}  acme  ready  revision 1")
    assert line.endswith("Anna")
    [shown] = await run(bus, "show", "anna", "--tenant", "acme")
    assert json.loads(shown)["consent"] == msgspec.to_builtins(CONSENT)
    with pytest.raises(UnknownVoice):
        await run(bus, "show", anna.voice, "--tenant", "globex")


async def test_a_voice_moves_to_another_tenant_as_a_file(bus: Bus, tmp_path: Path) -> None:
    anna = await VoiceLibrary(bus).create(draft(), [WAV])
    path = tmp_path / "anna.voice.zip"
    await run(bus, "export", anna.voice, str(path), "--tenant", "acme")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert unpack_voice(path.read_bytes(), "acme").wavs == (WAV,)
    with pytest.raises(FileExistsError):
        await run(bus, "export", anna.voice, str(path), "--tenant", "acme")

    await run(bus, "import", str(path), "--tenant", "globex", "--name", "Anna 2")
    copy = await VoiceLibrary(bus).require("globex", "Anna 2")
    assert copy.voice != anna.voice
    assert (copy.clips, copy.consent, copy.uploaded_by) == (anna.clips, anna.consent, "")
    assert await VoiceLibrary(bus).clips(copy) == [WAV]
    with pytest.raises(VoiceNameTaken):
        await run(bus, "import", str(path), "--tenant", "acme")
    with pytest.raises(Refused, match="--name"):
        await run(bus, "import", str(path), "--tenant", "acme", "--name", "a/b")
    path.write_bytes(b"something else")
    with pytest.raises(MalformedMessage, match="not a ZIP archive"):
        await run(bus, "import", str(path), "--tenant", "acme")


async def test_latents_of_another_xtts_server_become_a_voice_without_clips(
    bus: Bus, tmp_path: Path
) -> None:
    latents = {"gpt_cond_latent": [[0.5] * 8] * 32, "speaker_embedding": [0.25] * 512}
    path = tmp_path / "speakers.json"
    path.write_text(json.dumps({"Anna": latents, "Bert": latents}))
    import_latents = ("import-latents", str(path), "--tenant", "acme", "--name", "Anna")
    with pytest.raises(Refused, match="2 speakers; select one with --speaker: Anna, Bert"):
        await run(bus, *import_latents)
    await run(bus, *import_latents, "--speaker", "Bert", "--model", "abc")
    anna = await VoiceLibrary(bus).require("acme", "Anna")
    [computed] = await VoiceLibrary(bus).computed(anna)
    voice = unpack_tensors(computed)
    assert (voice.engine, voice.model, anna.clips) == ("xtts", "abc", ())
    assert voice.tensors["gpt_cond_latent"].shape == (1, 32, 8)
    assert voice.tensors["speaker_embedding"].tolist() == [[[0.25]] * 512]

    exported = tmp_path / "anna.voice.zip"
    await run(bus, "export", "Anna", str(exported), "--tenant", "acme")
    await run(bus, "import", str(exported), "--tenant", "globex")
    copy = await VoiceLibrary(bus).require("globex", "Anna")
    assert await VoiceLibrary(bus).computed(copy) == [computed]
    await run(bus, "publish", "Anna", "--tenant", "acme", "--without-consent")
    [shared] = await VoiceLibrary(bus).all(SHARED_TENANT)
    assert await VoiceLibrary(bus).computed(shared) == [computed]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\x80\x02pickle", "not a JSON object"),
        (b'{"gpt_cond_latent": [1], "speaker_embedding": [1]}', "has 1 and speaker_embedding 1"),
        (b'{"gpt_cond_latent": "a", "speaker_embedding": []}', "not a list of numbers"),
        (b'{"gpt_cond_latent": [[[[[[1]]]]]]}', "not a list of numbers"),
        (
            json.dumps({"gpt_cond_latent": [1e300] * 32, "speaker_embedding": [0] * 512}).encode(),
            "not finite",
        ),
    ],
)
async def test_a_file_without_latents_is_refused(
    bus: Bus, tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "latents.json"
    path.write_bytes(content)
    with pytest.raises(Refused, match=complaint):
        await run(bus, "import-latents", str(path), "--tenant", "acme", "--name", "Anna")
    assert await VoiceLibrary(bus).all("acme") == []


async def test_a_published_voice_keeps_its_consent_and_outlives_the_tenants_own(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    anna = await library.create(draft(), [WAV])
    await run(bus, "publish", "Anna", "--tenant", "acme", "--name", "Narrator")
    shared = await library.require(SHARED_TENANT, "Narrator")
    assert (shared.consent, shared.clips, shared.uploaded_by) == (CONSENT, anna.clips, "")
    assert shared.resolved.reference == f"shared:{shared.voice}@1"
    await run(bus, "delete", "Anna", "--tenant", "acme")
    assert await library.clips(shared) == [WAV]
    await run(bus, "unpublish", "Narrator")
    assert await library.all(SHARED_TENANT) == []


async def test_a_voice_without_consent_is_published_only_with_the_option(bus: Bus) -> None:
    await VoiceLibrary(bus).create(msgspec.structs.replace(draft(), consent=None), [WAV])
    with pytest.raises(Refused, match="consent"):
        await run(bus, "publish", "Anna", "--tenant", "acme")
    await run(bus, "publish", "Anna", "--tenant", "acme", "--without-consent")
    assert len(await VoiceLibrary(bus).all(SHARED_TENANT)) == 1


async def test_nothing_is_erased_without_confirmation(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    anna = await library.create(draft(), [WAV])
    await library.create(draft("Bert"), [WAV])
    with pytest.raises(Refused, match="nothing was erased"):
        await run(bus, "delete", "--all", "--tenant", "acme", confirmed=False)
    with pytest.raises(Refused, match="--all"):
        await run(bus, "delete", "--tenant", "acme")
    with pytest.raises(Refused, match="--all"):
        await run(bus, "delete", "Anna", "--all", "--tenant", "acme")
    assert await library.count("acme") == 2
    assert await run(bus, "delete", anna.voice, "--tenant", "globex") == ["No voices to erase."]
    assert await run(bus, "delete", anna.voice, "--tenant", "acme") == ["Erased 1."]
    await library.create(draft("Carl", "globex"), [WAV])
    assert await run(bus, "delete", "--all", "--tenant", "acme") == ["Erased 1."]
    assert await library.tenants() == ["globex"]


async def test_voices_expire_by_age_but_published_ones_only_by_name(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    for tenant in ("acme", "globex", SHARED_TENANT):
        await library.create(draft("Anna", tenant), [WAV])
    assert await run(bus, "expire", "--older-than", "1") == ["No voices to erase."]
    with pytest.raises(Refused, match="--older-than"):
        await run(bus, "expire", "--older-than", "-1")
    await asyncio.sleep(0.1)
    assert await run(bus, "expire", "--older-than", "1e-6", "--tenant", "acme") == ["Erased 1."]
    assert await run(bus, "expire", "--older-than", "1e-6") == ["Erased 1."]
    assert await library.tenants() == [SHARED_TENANT]
    assert await run(bus, "sweep") == ["Swept 1 tenants; erased 0 unfinished voices."]


async def test_the_command_line_lists_voices_and_does_not_erase_unasked(tmp_path: Path) -> None:
    async with local_nats(tmp_path) as server:

        async def command(*arguments: str) -> tuple[int | None, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.admin", "voices", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=os.environ | {"NATS_URL": server.url, "LOG_LEVEL": "error"},
            )
            output, _ = await process.communicate()
            return process.returncode, output.decode()

        status, output = await command("list")
        assert status == 1
        assert "does not exist; run `python -m services.admin streams`" in output

        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        await bus.establish(topology.topology())
        assert await command("list") == (0, "No voices.\n")
        await VoiceLibrary(bus).create(draft(), [WAV])
        await bus.close()
        status, output = await command("delete", "Anna", "--tenant", "acme")
        assert status == 1
        assert "add --yes" in output
        assert await command("delete", "Anna", "--tenant", "acme", "--yes") == (0, "Erased 1.\n")
        status, output = await command("unpublish", "Anna")
        assert status == 1
        assert output.startswith("voices: ")
        status, output = await command("expire", "--older-than", "0")
        assert (status, output) == (1, "voices: --older-than must be over 0 days\n")
