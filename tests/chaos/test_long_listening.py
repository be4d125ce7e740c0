"""Listeners that play for hours, or pause, get every sample, or are cut visibly, with an audio store far too small."""

import asyncio
import random
import re
import time
from dataclasses import replace
from pathlib import Path

import aiohttp

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from tests.chaos.listeners import LONGEST_SENTENCE
from tests.chaos.load import BYTES_A_SECOND, WAV_HEADER, form_of, text_of
from tests.chaos.parts import House, house
from tests.support.service import expected_pcm

TWO_HOURS = 120_000  # characters, of 60 ms each
FORTY_MINUTES = 40_000
STORE_BYTES = 3 * 1024 * 1024  # a minute of audio
SETTINGS = {
    "QUEUE_AUDIO_S": "1000",
    "MAX_TEXT_CHARACTERS": "130000",
    "AUDIO_STORE_BYTES": str(STORE_BYTES),
}
FASTER = 200  # than real time
STUCK_S = 60.0


async def heard(
    service: House,
    session: aiohttp.ClientSession,
    text: str,
    *,
    faster: float = FASTER,
    pause_at_s: float = 0.0,
    pause_s: float = 0.0,
) -> tuple[bytes, str]:
    """Return what a listener hears of a text at its pace, and how it ended: whole, cut, or stuck.

    `pause_at_s`: seconds of audio after which the listener takes nothing for `pause_s`.
    """
    audio, began_s, paused_s = bytearray(), time.monotonic(), 0.0
    async with session.post(f"{service.address()}/stream", data=form_of(text, 5)) as response:
        assert response.status == 200, await response.text()
        try:
            while piece := await asyncio.wait_for(response.content.readany(), STUCK_S):
                audio += piece
                seconds = (len(audio) - WAV_HEADER) / BYTES_A_SECOND
                if pause_s and not paused_s and seconds > pause_at_s:
                    paused_s = pause_s
                    await asyncio.sleep(pause_s)
                ahead_s = seconds / faster - (time.monotonic() - began_s - paused_s)
                await asyncio.sleep(max(0.0, ahead_s))
        except TimeoutError:
            return bytes(audio[WAV_HEADER:]), "stuck"
        except aiohttp.ClientError:
            return bytes(audio[WAV_HEADER:]), "cut"
    return bytes(audio[WAV_HEADER:]), "whole"


async def shrink(service: House, *, kept_s: float = 600.0) -> None:
    """Make the store small, whatever its settings were."""
    bus = await NatsBus.connect(service.nats.url, name="operator")
    config = (await bus._jetstream.stream_info(topology.AUDIO)).config
    config = replace(
        config, max_bytes=STORE_BYTES, max_age=kept_s, duplicate_window=min(120.0, kept_s)
    )
    await bus._jetstream.update_stream(config)
    await bus.close()


async def edge_metric(service: House, session: aiohttp.ClientSession, name: str) -> float:
    async with session.get(f"{service.address()}/metrics") as response:
        found = re.search(rf"^{re.escape(name)} (\S+)", await response.text(), re.MULTILINE)
    return float(found[1]) if found else 0.0


async def equal(sound: bytes, text: str) -> bool:
    return sound == await asyncio.to_thread(
        expected_pcm, text, seed=5, max_characters=LONGEST_SENTENCE
    )


async def played(
    folder: Path, text: str, *, faster: float = FASTER, **settings: str
) -> tuple[bytes, float]:
    """Return what a listener hears of a text, which must be whole, and how often its audio was spoken again."""
    async with (
        house(folder, splitters=2, workers=2, settings={**SETTINGS, **settings}) as service,
        aiohttp.ClientSession(read_bufsize=2**15) as session,
    ):
        await service.until_ready(session)
        await shrink(service)
        sound, end = await heard(service, session, text, faster=faster)
        again = await edge_metric(service, session, "tts_audio_spoken_again_total")
    assert end == "whole"
    return sound, again


async def test_two_hours_are_played_in_real_time_sample_by_sample(tmp_path: Path) -> None:
    text = text_of(random.Random(11), 2_400)[:TWO_HOURS]
    sound, again = await played(tmp_path, text, STREAM_AHEAD_S="120")
    assert len(sound) / BYTES_A_SECOND > 7_000
    assert await equal(sound, text)
    assert again == 0, "within the usual window nothing is lost"


async def test_a_window_that_no_inbox_and_no_store_holds_is_played_sample_by_sample(
    tmp_path: Path,
) -> None:
    text = text_of(random.Random(11), 800)[:FORTY_MINUTES]
    sound, again = await played(tmp_path, text, faster=FASTER / 2, STREAM_AHEAD_S="3600")
    assert len(sound) / BYTES_A_SECOND > 2_300
    assert await equal(sound, text)
    assert again > 0, "audio was lost"


async def test_a_listener_that_pauses_longer_than_audio_is_stored_gets_every_sample(
    tmp_path: Path,
) -> None:
    text = text_of(random.Random(12), 400)[:24_000]
    settings = {**SETTINGS, "STREAM_AHEAD_S": "600", "LISTENER_TIMEOUT_S": "120"}
    async with (
        house(tmp_path, splitters=1, workers=2, settings=settings) as service,
        aiohttp.ClientSession(read_bufsize=2**15) as session,
    ):
        await service.until_ready(session)
        await shrink(service, kept_s=2.0)
        sound, end = await heard(service, session, text, pause_at_s=60, pause_s=15.0)
    assert end == "whole"
    assert await equal(sound, text)


async def test_a_listener_that_pauses_longer_than_it_may_is_cut_visibly(tmp_path: Path) -> None:
    text = text_of(random.Random(13), 800)[:48_000]
    async with (
        house(
            tmp_path, splitters=1, workers=2, settings={**SETTINGS, "LISTENER_TIMEOUT_S": "2"}
        ) as service,
        aiohttp.ClientSession(read_bufsize=2**15) as session,
    ):
        await service.until_ready(session)
        sound, end = await heard(service, session, text, pause_at_s=60, pause_s=15.0)
        assert (
            await edge_metric(service, session, 'tts_failures_total{code="listener_stalled"}') == 1
        )
    assert end == "cut"
    assert not await equal(sound, text)
