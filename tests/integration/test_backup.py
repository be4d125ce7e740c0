"""The service's data in NATS, saved while it runs and restored into another server."""

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from services.admin import backup
from services.common.bus import topology
from services.common.bus.clips import fetch_clip
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.nats.connection import NatsBus
from services.common.bus.nats.snapshots import CannotCopy
from services.common.runtime.local_nats import local_nats
from services.common.wire import codec, subjects
from services.common.wire.failures import VoiceNameTaken
from services.common.wire.messages import SpeechRequest
from services.http_edge.metrics import Metrics
from services.http_edge.speech.session import SpeechSessions
from tests.support.buses import nats_bus
from tests.support.messages import STORED_VOICE
from tests.support.service import digest, expected_pcm, speech_request, stored_clip, tone_service


def folder(beside: Path, name: str) -> Path:
    """Make a server's own folder."""
    made = beside / name
    made.mkdir()
    return made


async def test_streams_values_and_objects_are_the_same_after_save_and_restore(
    tmp_path: Path,
) -> None:
    async with nats_bus(folder(tmp_path, "before")) as bus:
        clip = await stored_clip(bus)
        kept = await fetch_clip(bus, "public", clip)
        await bus.put_value(topology.VOICES, "a-voice", bytes(range(256)) * 500)
        await bus.put_object(topology.RESULTS, "a-job.0", b"sound" * 100_000)
        waiting = speech_request(clip)
        await bus.publish(
            subjects.request("public"), codec.encode(waiting), message_id=waiting.request
        )
        sizes = await backup.save(bus, tmp_path / "saved")
    assert {"TTS_REQUESTS", "KV_TTS_VOICES", "OBJ_TTS_CLIPS"} <= set(sizes)
    async with local_nats(folder(tmp_path, "after")) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        messages = await backup.restore(bus, tmp_path / "saved")
        assert messages.keys() == sizes.keys()
        await bus.establish(topology.topology())
        assert await fetch_clip(bus, "public", clip) == kept
        assert await bus.get_value(topology.VOICES, "a-voice") == bytes(range(256)) * 500
        assert await bus.get_object(topology.RESULTS, "a-job.0") == b"sound" * 100_000
        [again] = await bus.stored(topology.REQUESTS, subjects.request("public"), most=10)
        assert codec.decode(again.payload, SpeechRequest) == waiting
        async with (
            tone_service(bus, workers=1),
            asyncio.timeout(60),
        ):  # what waited is spoken, and the next one too
            while await bus.message_count(topology.REQUESTS):
                await asyncio.sleep(0.1)
            async with SpeechSessions(bus, Metrics(), first_audio_timeout_s=20).speaking(
                speech_request(clip)
            ) as speech:
                assert digest([piece async for piece in speech.chunks()]) == digest(
                    [expected_pcm()]
                )
        await bus.close()


async def test_a_library_voice_survives_backup_restore_and_a_restart(tmp_path: Path) -> None:
    draft = msgspec.structs.replace(STORED_VOICE, leftovers=())
    wavs = [b"first clip" * 20_000, b"second clip"]
    async with nats_bus(folder(tmp_path, "before")) as bus:
        made = await VoiceLibrary(bus).create(draft, wavs)
        sizes = await backup.save(bus, tmp_path / "saved")
    assert {"KV_TTS_LIBRARY", "OBJ_TTS_VOICE_CLIPS"} <= set(sizes)

    async with local_nats(folder(tmp_path, "after")) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=20)
        await backup.restore(bus, tmp_path / "saved")
        await bus.establish(topology.topology())
        for _ in range(2):
            library = VoiceLibrary(bus)
            assert await library.require("public", "Anna") == made
            assert await library.clips(made) == wavs
            await server.stop()
            await server.start()
        with pytest.raises(VoiceNameTaken):
            await VoiceLibrary(bus).create(draft, wavs)
        assert await VoiceLibrary(bus).delete("public", made.voice)
        await VoiceLibrary(bus).create(draft, wavs)
        await bus.close()


async def test_existing_streams_are_not_overwritten_by_a_restore(tmp_path: Path) -> None:
    async with nats_bus(folder(tmp_path, "nats")) as bus:
        await backup.save(bus, tmp_path / "saved")
        with pytest.raises(CannotCopy, match="exist already"):
            await backup.restore(bus, tmp_path / "saved")
        with pytest.raises(FileExistsError):
            await backup.save(bus, tmp_path / "saved")


async def test_a_broken_copy_is_refused(tmp_path: Path) -> None:
    async with nats_bus(folder(tmp_path, "before")) as bus:
        await stored_clip(bus)
        await backup.save(bus, tmp_path / "saved")
    content = tmp_path / "saved" / "OBJ_TTS_CLIPS" / "stream.tar.s2"
    content.write_bytes(content.read_bytes()[:-200])
    async with local_nats(folder(tmp_path, "after")) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        with pytest.raises(CannotCopy):
            await backup.restore(bus, tmp_path / "saved")
        await bus.close()


async def test_only_its_user_can_read_a_backup(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        async with nats_bus(folder(tmp_path, "nats")) as bus:
            await backup.save(bus, tmp_path / "saved")
    finally:
        os.umask(umask)

    saved = [tmp_path / "saved", *(tmp_path / "saved").rglob("*")]
    assert len(saved) > 20
    for path in saved:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
