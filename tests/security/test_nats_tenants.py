"""A tenant that uses NATS directly, against the whole service: it reaches no answer of others, and fills no store."""

import asyncio
from pathlib import Path

import aiohttp
import msgspec
from nats.aio.client import Client

from services.common.wire import codec, subjects
from services.common.wire.messages import ClipRefused, ClipStored, StoreClip
from tests.support.front import form
from tests.support.guarded import guarded_nats, guarded_service
from tests.support.recordings import encoded, speech_of
from tests.support.service import TEXT, expected_pcm, speech_request
from tests.support.wav import pcm_of

VOICES = [
    encoded(speech_of(7, start_s=start_s).samples, 24_000) for start_s in (0.3, 0.5, 0.7)
]  # 336 kB each
VICTIM = "order-0001-order-0001"


async def ask_to_store(client: Client, tenant: str, audio: bytes) -> ClipStored | ClipRefused:
    asked = StoreClip(tenant=tenant, audio=audio)
    reply = await client.request(subjects.clip(tenant), codec.encode(asked), timeout=120)
    return codec.decode(reply.data, ClipStored | ClipRefused)  # type: ignore[arg-type]  # msgspec takes unions


async def test_another_tenants_words_do_not_come_into_an_answer(tmp_path: Path) -> None:
    async with (
        guarded_nats(tmp_path) as guarded,
        guarded_service(guarded, tmp_path, TENANT="globex") as address,
    ):
        acme = await guarded.client("tenant-acme")
        stored = await ask_to_store(acme, "acme", VOICES[0])
        assert isinstance(stored, ClipStored)
        own = msgspec.structs.replace(
            speech_request(stored.clip, "Acme was here."), tenant="acme", request=VICTIM
        )
        events = await acme.subscribe(f"tts.v1.audio.acme.{VICTIM}.>")
        await acme.jetstream().publish("tts.v1.request.acme", codec.encode(own), timeout=20)
        while not (await events.next_msg(timeout=30)).subject.endswith(".end"):
            pass
        stop = asyncio.Event()
        forging = asyncio.create_task(forge(acme, stop))
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with session.post(
                    f"{address}/synthesize",
                    data=form(),
                    headers={"X-Request-Id": VICTIM, "Request-Name": VICTIM},
                ) as response:
                    assert response.status in (200, 409), await response.text()
                    if response.status == 200:
                        assert pcm_of(await response.read()) == expected_pcm(
                            TEXT, max_characters=250
                        )
        stop.set()
        assert await forging > 0
        await acme.close()


async def forge(acme: Client, stop: asyncio.Event) -> int:
    """Have acme's message sent wherever the answer to globex's request is awaited, and cancel that request."""
    sent = 0
    stored = f"$JS.API.DIRECT.GET.TTS_AUDIO.tts.v1.audio.acme.{VICTIM}.0"
    while not stop.is_set():
        for place in ("0", "end"):
            await acme.publish(
                f"{stored}.{place}", b"", reply=f"tts.v1.audio.globex.{VICTIM}.0.{place}"
            )
            await acme.publish(f"{stored}.{place}", b"", reply=f"tts.v1.cancel.globex.{VICTIM}")
            await acme.publish(
                f"{stored}.{place}",
                b"",
                reply="tts.v1.sentence.tone.standard.globex.aaaa.notanumber",
            )
            sent += 3
        await acme.flush()
        await asyncio.sleep(0.005)
    return sent


async def test_one_tenant_cannot_fill_the_store_of_clips(tmp_path: Path) -> None:
    settings = {"TENANT": "acme", "TENANT_CLIPS_BYTES": "500000"}
    async with (
        guarded_nats(tmp_path) as guarded,
        guarded_service(guarded, tmp_path, **settings) as address,
    ):
        acme, globex = await guarded.client("tenant-acme"), await guarded.client("tenant-globex")
        first = await ask_to_store(acme, "acme", VOICES[0])
        assert isinstance(first, ClipStored)
        refused = await ask_to_store(acme, "acme", VOICES[1])
        assert isinstance(refused, ClipRefused)
        assert (refused.code, refused.retryable) == ("tenant_clips_full", True)
        assert await ask_to_store(acme, "acme", VOICES[0]) == first  # which takes no more space
        assert isinstance(await ask_to_store(globex, "globex", VOICES[1]), ClipStored)
        async with aiohttp.ClientSession() as session:  # the same tenant, over HTTP
            async with session.post(
                f"{address}/synthesize", data=form(reference_audio=VOICES[2])
            ) as response:
                assert response.status == 429
                assert (await response.json())["code"] == "tenant_clips_full"
            async with session.post(
                f"{address}/synthesize", data=form(reference_audio=VOICES[0])
            ) as response:
                assert response.status == 200
        await acme.close()
        await globex.close()


async def test_a_recording_that_is_none_is_refused_with_what_to_send(tmp_path: Path) -> None:
    async with guarded_nats(tmp_path) as guarded, guarded_service(guarded, tmp_path):
        acme = await guarded.client("tenant-acme")
        silent = encoded(speech_of(7).samples * 0, 24_000)
        told = [
            await ask_to_store(acme, "acme", audio)
            for audio in (b"#!/bin/sh", silent, b"\0" * 8_000_000)
        ]
        assert [answer.code for answer in told if isinstance(answer, ClipRefused)] == 3 * [
            "unusable_reference"
        ]
        for payload in (
            b"",
            b"\xc1",
            codec.encode(StoreClip(tenant="globex", audio=VOICES[0])),
            b"\x80" * 4_000_000,
        ):
            reply = await acme.request(subjects.clip("acme"), payload, timeout=60)
            assert codec.decode(reply.data, ClipRefused).code == "malformed_message"
        at_once = [
            asyncio.create_task(ask_to_store(acme, "acme", b"no recording" * 99)) for _ in range(12)
        ]
        codes = {
            answer.code
            for answer in await asyncio.gather(*at_once)
            if isinstance(answer, ClipRefused)
        }
        assert codes <= {"unusable_reference", "tenant_queue_full"}
        assert isinstance(await ask_to_store(acme, "acme", VOICES[0]), ClipStored)
        await acme.close()
