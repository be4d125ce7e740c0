"""The client library against the real service, directly and through a proxy that misbehaves."""

import asyncio
import io
import json
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import web

from services.common.audio.wav import wav_header
from tests.support.formats import decoded
from tests.support.front import VOICE, Front
from tests.support.gateway import Gateway, gateway
from tests.support.service import TEXT, expected_pcm, sentence_count
from tests.support.wav import pcm_of
from voice_cloning_client import (
    AsyncClient,
    Client,
    Consent,
    IncompleteAudio,
    InvalidInput,
    NotFound,
    Overloaded,
    Retry,
    ServiceError,
    Timeouts,
    Unavailable,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = " ".join(f"{TEXT} That was number {number}." for number in range(3))
SWIFT = Retry(first_s=0.01, longest_s=0.05)
CONSENT = Consent("Anna Weber", "I agree that my voice is cloned.", "2026-01-31", "written")


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(service: Front) -> AsyncIterator[Gateway]:
    async with gateway(service.addresses[0]) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def client(proxy: Gateway) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(proxy.address, retry=SWIFT) as made:
        yield made


async def spoken(client: AsyncClient, text: str = TEXT, form: str = "wav") -> bytes:
    """Return the audio of a text, with the same voice and seed each time."""
    audio = await client.speak(text, language="en", clips=VOICE, seed=42, format=form)
    return audio.data


def whole_wav(text: str = TEXT) -> bytes:
    pcm = expected_pcm(text)
    return wav_header(sample_rate_hz=24_000, data_bytes=len(pcm)) + pcm


def refusal(status: int, code: str, **headers: str) -> web.Response:
    body = {"code": code, "detail": "later", "status": status, "retryable": True}
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        content_type="application/problem+json",
        headers=headers,
    )


async def test_speech_is_the_audio_of_the_service_with_its_size_in_the_header(
    client: AsyncClient,
) -> None:
    audio = await client.speak(TEXT, language="en", clips=VOICE, seed=42)

    assert audio.data == whole_wav()
    assert (audio.info.seed, audio.info.language, audio.info.engine) == (42, "en", "tone")
    assert audio.info.sample_rate_hz == 24_000
    with wave.open(io.BytesIO(audio.data)) as read:
        assert read.getnframes() == len(expected_pcm()) // 2


async def test_a_stream_yields_audio_before_it_is_complete(client: AsyncClient) -> None:
    async with client.stream(TEXT, language="en", clips=VOICE, seed=42, format="pcm") as stream:
        first = await anext(stream)
        assert not stream.complete
        rest = [block async for block in stream]

    assert stream.complete
    assert first + b"".join(rest) == expected_pcm()


async def test_audio_that_is_cut_again_and_again_is_complete_in_the_end(
    client: AsyncClient, proxy: Gateway
) -> None:
    for form in ("wav", "pcm"):
        proxy.cut_after = None
        expected = await spoken(client, LONG, form)
        proxy.seen.clear()
        proxy.cut_after = 50_001
        assert await spoken(client, LONG, form) == expected, form
        assert proxy.posts() == 1
        assert len(proxy.seen) > len(expected) // 50_001


async def test_a_compressed_body_that_is_cut_is_continued_where_it_was_cut(
    client: AsyncClient, proxy: Gateway
) -> None:
    for form in ("mp3", "opus", "flac", "mulaw"):
        expected = await spoken(client, LONG, form)
        proxy.seen.clear()
        proxy.cut_after = len(expected) * 2 // 3
        stream = client.stream(LONG, language="en", clips=VOICE, seed=42, format=form)
        received = bytearray(await anext(stream))

        while not any("from=0" in entry for entry in proxy.seen):
            received += await anext(stream)
            proxy.cut_after = None

        async for block in stream:
            received += block
        assert len(received) == len(expected), form  # whose metadata have the id of another request
        samples, _ = decoded(form, bytes(received), 8_000)
        assert np.array_equal(samples, decoded(form, expected, 8_000)[0]), form


async def test_a_cut_at_any_byte_loses_nothing(client: AsyncClient, proxy: Gateway) -> None:
    text = "Yes. No."
    expected = await spoken(client, text)

    for cut_after in (1, 43, 44, 45, 4097):
        proxy.cut_after = cut_after
        stream = client.stream(text, language="en", clips=VOICE, seed=42)
        received = bytearray(await anext(stream))
        proxy.cut_after = 4097
        async for block in stream:
            received += block
        assert pcm_of(received) == pcm_of(expected), cut_after
        proxy.cut_after = None


async def test_a_body_that_a_proxy_shortens_and_ends_properly_is_not_taken_for_the_whole(
    client: AsyncClient, proxy: Gateway
) -> None:
    proxy.cut_after = 60_000
    proxy.ends_cleanly = True
    assert await spoken(client) == whole_wav()


async def test_compressed_audio_that_never_passes_the_same_byte_is_incomplete_audio(
    client: AsyncClient, proxy: Gateway
) -> None:
    proxy.cut_after = 2_000
    with pytest.raises(IncompleteAudio) as caught:
        await spoken(client, LONG, "mp3")
    assert caught.value.received_bytes == 2_000


async def test_a_post_whose_response_is_lost_is_repeated_and_spoken_once(
    service: Front, client: AsyncClient, proxy: Gateway
) -> None:
    await service.until_idle()
    before = set(await service.ends())
    proxy.loses = 2
    assert await spoken(client) == whole_wav()
    assert proxy.posts() == 3
    assert len(set(await service.ends()) - before) == sentence_count()


async def test_a_refusal_with_retry_after_is_repeated(client: AsyncClient, proxy: Gateway) -> None:
    headers = {"Retry-After": "0"}
    proxy.refusals = [
        refusal(503, "queue_full", **headers),
        refusal(429, "tenant_queue_full", **headers),
        web.Response(status=502, text="<html>bad gateway</html>"),
    ]
    assert await spoken(client) == whole_wav()
    assert proxy.posts() == 4


async def test_refusals_without_end_are_an_error_with_the_time_to_retry(
    client: AsyncClient, proxy: Gateway
) -> None:
    proxy.refusals = [refusal(503, "queue_full", **{"Retry-After": "0"}) for _ in range(99)]
    with pytest.raises(Overloaded) as caught:
        await spoken(client)
    assert (caught.value.code, caught.value.status) == ("queue_full", 503)
    assert caught.value.retry_after_s == 0
    assert proxy.posts() == SWIFT.attempts


async def test_a_retry_after_that_is_too_long_is_an_error_at_once(
    client: AsyncClient, proxy: Gateway
) -> None:
    proxy.refusals = [refusal(429, "too_many_requests", **{"Retry-After": "3600"})]
    with pytest.raises(Overloaded) as caught:
        await spoken(client)
    assert caught.value.retry_after_s == 3600
    assert proxy.posts() == 1


async def test_a_page_of_a_proxy_is_an_error_with_its_status(
    client: AsyncClient, proxy: Gateway
) -> None:
    proxy.refusals = [web.Response(status=403, text="<html>no</html>")]
    with pytest.raises(ServiceError) as caught:
        await spoken(client)
    assert (caught.value.code, caught.value.status) == ("http_403", 403)


async def test_a_redirect_is_not_followed(client: AsyncClient, proxy: Gateway) -> None:
    proxy.refusals = [web.Response(status=307, headers={"Location": "http://example.org/"})]
    with pytest.raises(ServiceError, match="use that address"):
        await spoken(client)
    assert proxy.posts() == 1


async def test_a_mistake_is_an_error_that_names_it_and_is_not_repeated(
    client: AsyncClient, proxy: Gateway
) -> None:
    with pytest.raises(ServiceError) as caught:
        await client.speak("Hello.", language="qq", clips=VOICE)
    assert (caught.value.code, caught.value.status) == ("unsupported_language", 422)
    assert proxy.posts() == 1

    with pytest.raises(NotFound):
        await client.speak("Hello.", language="en", voice="nobody")


@pytest.mark.parametrize("text", ["", "  \n", "\udc80"])
async def test_a_text_that_cannot_be_sent_is_an_error_before_any_request(
    text: str,
) -> None:
    async with AsyncClient("http://127.0.0.1:9", retry=SWIFT) as client:
        with pytest.raises(InvalidInput):
            await client.speak(text)


@pytest.mark.parametrize("service", [1.0], indirect=True)
async def test_a_stream_that_is_left_cancels_its_request(
    service: Front, client: AsyncClient, proxy: Gateway
) -> None:
    await service.until_idle()
    before = set(await service.ends())
    async with client.stream(LONG, language="en", clips=VOICE, format="pcm") as stream:
        await anext(stream)
    assert [entry for entry in proxy.seen if entry.startswith("DELETE")]
    await service.until_idle()
    assert len(set(await service.ends()) - before) < sentence_count(LONG)


@pytest.mark.parametrize("service", [1.0], indirect=True)
async def test_a_cancelled_task_cancels_its_request_before_the_first_audio(
    service: Front, client: AsyncClient, proxy: Gateway
) -> None:
    speaking = asyncio.create_task(spoken(client, LONG))
    while not proxy.posts():
        await asyncio.sleep(0.01)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    assert proxy.seen[-1].startswith("DELETE /requests/")
    await service.until_idle()


async def test_a_service_that_does_not_exist_is_unavailable() -> None:
    async with AsyncClient("http://127.0.0.1:9", retry=SWIFT) as client:
        with pytest.raises(Unavailable, match="check the address"):
            await spoken(client)


async def test_a_service_that_accepts_and_stays_silent_is_unavailable() -> None:
    writers = []

    async def stay_silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(stay_silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    timeouts = Timeouts(response_s=0.2, first_audio_s=0.2, cancel_s=0.2)
    began_s = time.monotonic()

    async with AsyncClient(f"http://127.0.0.1:{port}", timeouts=timeouts, retry=SWIFT) as client:
        with pytest.raises(Unavailable, match="did not respond"):
            await spoken(client)
        with pytest.raises(Unavailable, match="did not respond"):
            await client.languages()

    assert time.monotonic() - began_s < 30
    server.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_a_service_that_dies_during_its_response_leaves_incomplete_audio(
    service: Front,
) -> None:
    async with gateway(service.addresses[0]) as proxy:
        client = AsyncClient(proxy.address, retry=SWIFT)
        proxy.cut_after = 50_000
        stream = client.stream(LONG, language="en", clips=VOICE, format="pcm")
        await anext(stream)

    with pytest.raises(IncompleteAudio):
        async for _ in stream:
            pass
    await client.close()


async def test_a_program_without_an_event_loop_has_the_same_client(
    proxy: Gateway, tmp_path: Path
) -> None:
    def program() -> None:
        with Client(proxy.address, retry=SWIFT) as client:
            audio = client.speak(TEXT, language="en", clips=VOICE, seed=42)
            assert audio.data == whole_wav()
            with client.stream(TEXT, language="en", clips=VOICE, seed=42, format="pcm") as stream:
                assert b"".join(stream) == expected_pcm()
            assert stream.complete
            with client.stream(LONG, language="en", clips=VOICE) as left:
                next(left)
            assert not left.complete

            job = client.jobs.submit(TEXT, language="en", clips=VOICE, seed=42)
            client.jobs.wait(job.id, timeout_s=60)
            path = client.jobs.download(job.id, tmp_path / "job.wav")
            assert pcm_of(path.read_bytes()) == expected_pcm()

            voice = client.voices.create("Anna", VOICE, consent=CONSENT)
            assert [found.id for found in client.voices.list(kind="library")] == [voice.id]
            client.voices.delete("Anna")
            with pytest.raises(NotFound):
                client.voices.get("Anna")
            assert "fr" in client.languages()

    await asyncio.to_thread(program)
