"""The HTTP face, in front of a real nats-server, a splitter and two tone workers."""

import asyncio
import io
import socket
import tempfile
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer

from services.common.audio.wav import read_wav, wav_header
from services.common.bus import topology
from services.common.bus.clips import fetch_clip
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import local_nats
from services.http_edge.app import edge
from services.http_edge.encoders.tags import Tags
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from services.http_edge.settings import Settings
from services.http_edge.speech.commands import cancel
from services.synth_worker.engines.tone import voice_of
from tests.support.decoders import CachedDecoder
from tests.support.recordings import encoded, hiss, speech_of
from tests.support.service import TEXT, digest, expected_pcm, tone_service
from tests.support.wav import pcm_of

SETTINGS = Settings(
    engine="tone",
    max_text_characters=5_000,
    max_upload_bytes=3_000_000,
    upload_idle_timeout_s=1.0,
    content_credentials="off",
)
LANGUAGES = [
    "fr",
    "en",
    "es",
    "de",
    "it",
    "pt",
    "pl",
    "tr",
    "ru",
    "nl",
    "cs",
    "ar",
    "zh",
    "hu",
    "ko",
    "ja",
    "hi",
]
VOICE = encoded(speech_of(7).samples, 24_000)
OTHER_VOICE = encoded(speech_of(7, start_s=2.0).samples, 24_000)
FILE_NAME = "our-dear-grandmother.xyz"
pytestmark = pytest.mark.asyncio(loop_scope="module")
Field = str | bytes | list[bytes] | None


@dataclass
class Service:
    session: aiohttp.ClientSession
    bus: NatsBus
    address: str
    port: int

    async def post(self, path: str, **fields: Field) -> aiohttp.ClientResponse:
        """Send a form; a field that is None is left out, bytes are a file, a list is several files."""
        form = aiohttp.FormData()
        usual: dict[str, Field] = {
            "text": TEXT,
            "language": "en",
            "reference_audio": VOICE,
            "seed": "42",
        }
        for name, value in (usual | fields).items():
            for file in (
                [value] if isinstance(value, bytes) else value if isinstance(value, list) else []
            ):
                form.add_field(name, io.BytesIO(file), filename=FILE_NAME)
            if isinstance(value, str):
                form.add_field(name, value)
        return await self.session.post(f"{self.address}{path}", data=form)

    async def refused(self, path: str = "/synthesize", **fields: Field) -> tuple[int, str, str]:
        """Return status, code and detail of a refusal, after checking its form."""
        async with await self.post(path, **fields) as response:
            problem = await response.json(content_type="application/problem+json")
        assert problem.keys() - {"field"} == {
            "type",
            "title",
            "status",
            "detail",
            "code",
            "retryable",
            "request_id",
        }
        assert problem["status"] == response.status
        assert problem["request_id"] == response.headers["Request-Name"]
        assert FILE_NAME not in str(problem)
        return response.status, problem["code"], problem["detail"]

    async def is_ready(self) -> bool:
        """Return whether the edge admits requests."""
        async with self.session.get(f"{self.address}/readyz") as response:
            return response.status == 200

    async def until_idle(self) -> None:
        """Wait until both work queues are empty."""
        async with asyncio.timeout(60):
            while await self.bus.message_count(topology.REQUESTS) + await self.bus.message_count(
                topology.SENTENCES
            ):
                await asyncio.sleep(0.05)

    async def metric(self, line: str) -> float:
        """Return the value of the metric line that begins so."""
        found = await self._lines(line)
        assert len(found) == 1, f"no metric {line}"
        return float(found[0].rsplit(" ", 1)[1])

    async def count(self, line: str) -> float:
        """Return the same of a counter with labels, which has no line before it counts."""
        return await self.metric(line) if await self._lines(line) else 0

    async def _lines(self, line: str) -> list[str]:
        async with self.session.get(f"{self.address}/metrics") as response:
            rows = (await response.text()).splitlines()
        return [row for row in rows if row.startswith(line + " ")]


@asynccontextmanager
async def running(folder: Path, real_time_factor: float = 0.0) -> AsyncIterator[Service]:
    """Run a service while the block runs."""
    async with local_nats(folder) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        await bus.establish(topology.topology())
        async with (
            tone_service(bus, real_time_factor=real_time_factor),
            CachedDecoder() as decoder,
            edge(bus, decoder, SETTINGS, asyncio.Event()) as app,
            TestServer(app) as http,
            aiohttp.ClientSession() as session,
        ):
            assert http.port is not None
            service = Service(session, bus, f"http://127.0.0.1:{http.port}", http.port)
            async with asyncio.timeout(60):
                while not await service.is_ready():
                    await asyncio.sleep(0.05)
            yield service
        await bus.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[Service]:
    """Start one service for the tests of an engine's real-time factor."""
    async with running(tmp_path_factory.mktemp("nats"), getattr(request, "param", 0.0)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(tmp_path: Path) -> AsyncIterator[Service]:
    """Start a service that has counted and stored nothing."""
    async with running(tmp_path) as made:
        yield made


async def prepared(file: bytes) -> bytes:
    """Return the clip that the edge stores of a file."""
    async with ReferenceDecoder(1) as decoder:
        with tempfile.NamedTemporaryFile() as upload:
            upload.write(file)
            upload.flush()
            return (await decoder.prepare(Path(upload.name), "acme")).wav


async def test_the_whole_speech_is_a_wav_with_true_lengths(service: Service) -> None:
    async with await service.post("/synthesize") as response:
        body = await response.read()
    assert (response.status, response.content_type) == (200, "audio/wav")
    assert response.headers["Content-Length"] == str(len(body))
    with wave.open(io.BytesIO(body)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        assert digest([file.readframes(file.getnframes())]) == digest([expected_pcm()])
    pcm_bytes = len(pcm_of(body))
    after_bytes = len(body) - 44 - pcm_bytes
    assert body[:44] == wav_header(
        sample_rate_hz=24_000, data_bytes=pcm_bytes, after_bytes=after_bytes
    )
    tags = Tags(response.headers["Request-Name"], "tone")
    assert body[-after_bytes:] == tags.riff_chunk()
    assert response.headers["X-Container-Mark"] == "metadata"
    assert response.headers["X-Seed"] == "42"
    assert response.headers["X-Watermark"] == "off"
    assert len(response.headers["Request-Name"]) == 32
    for mark in ("upload", "voice", "first-audio", "total", "synthesis"):
        assert f"{mark};dur=" in response.headers["Server-Timing"]


async def test_a_stream_is_the_same_audio_behind_a_header_of_unknown_length(
    service: Service,
) -> None:
    async with await service.post("/stream") as response:
        body = await response.read()
    assert response.status == 200
    assert body[:44] == wav_header(sample_rate_hz=24_000, data_bytes=None)
    assert digest([body[44:]]) == digest([expected_pcm()])
    assert response.headers["X-Container-Mark"] == "none"
    assert "Server-Timing" in response.headers


async def test_a_missing_seed_is_drawn_and_returned_and_repeats_the_speech(
    service: Service,
) -> None:
    async with await service.post("/synthesize", seed=None) as drawn:
        sound = pcm_of(await drawn.read())
    async with await service.post("/synthesize", seed=drawn.headers["X-Seed"]) as repeated:
        assert pcm_of(await repeated.read()) == sound
    async with await service.post("/synthesize", seed=None) as other:
        assert other.headers["X-Seed"] != drawn.headers["X-Seed"]
        await other.read()


async def test_the_language_is_found_where_the_client_leaves_it_to_the_service(
    service: Service,
) -> None:
    async with await service.post(
        "/synthesize", text="Guten Morgen, wie geht es Ihnen?", language="auto"
    ) as response:
        assert response.status == 200
        assert response.headers["X-Language"] == "de"
    async with await service.post(
        "/synthesize", text="Hej, jag heter Anna och bor här.", language="auto"
    ) as refused:
        assert refused.status == 422
        assert (await refused.json())["code"] == "unsupported_language"


async def test_what_the_service_reports_about_itself(service: Service) -> None:
    async with service.session.get(f"{service.address}/") as response:
        about = await response.json()
    assert set(about) == {
        "name",
        "version",
        "supported_languages",
        "model_loaded",
        "device",
        "engine",
        "parameters",
        "watermark",
        "content_credentials",
    }
    assert about["supported_languages"] == LANGUAGES
    assert about["engine"] == "tone"
    assert about["watermark"] == "off"
    assert about["parameters"] == {
        "speed": {"default": 1.0, "minimum": 0.25, "maximum": 4.0, "whole": False}
    }
    async with service.session.get(f"{service.address}/health") as response:
        health = await response.json()
    assert (health["status"], health["model_loaded"], health["device"]) == ("healthy", True, "cpu")
    async with service.session.get(f"{service.address}/languages") as response:
        languages = await response.json()
    assert languages["supported_languages"] == LANGUAGES
    assert languages["count"] == 17
    assert languages["languages_details"]["ja"] == "日本語"
    async with service.session.get(f"{service.address}/livez") as response:
        assert response.status == 200


async def test_metrics_count_what_happened(fresh: Service) -> None:
    async with await fresh.post("/synthesize") as response:
        size = len(pcm_of(await response.read()))
    await fresh.refused(language="xx")
    assert (
        await fresh.metric(
            'xtts_synthesis_requests_total{endpoint="synthesize",language="en",status="success"}'
        )
        == 1
    )
    assert (
        await fresh.metric(
            'xtts_synthesis_requests_total{endpoint="synthesize",language="",status="error"}'
        )
        == 1
    )
    assert await fresh.metric('xtts_synthesis_duration_seconds_count{language="en"}') == 1
    assert await fresh.metric("xtts_audio_output_bytes_sum") == size
    assert await fresh.metric('tts_failures_total{code="unsupported_language"}') == 1
    assert await fresh.metric("tts_requests_in_flight") == 0
    await asyncio.sleep(2.1)  # gauges are measured every two seconds
    assert await fresh.metric("xtts_model_loaded") == 1
    assert await fresh.metric('tts_queue_depth{stream="TTS_SENTENCES"}') == 0
    assert await fresh.metric('tts_workers{engine="tone",state="ready"}') == 2


REFUSALS: list[tuple[dict[str, Field], int, str, str]] = [
    ({"text": ""}, 422, "empty_text", "at least one word"),
    ({"text": " \n\t "}, 422, "empty_text", "at least one word"),
    ({"text": "?! ..."}, 422, "empty_text", "at least one"),
    ({"text": None}, 400, "bad_request", "text is missing"),
    ({"text": "a" * 5_001}, 413, "text_too_long", "5000"),
    ({"language": "xx"}, 422, "unsupported_language", "fr en es"),
    ({"language": "english"}, 422, "unsupported_language", "fr en es"),
    ({"reference_audio": None}, 400, "bad_request", "reference_audio"),
    ({"voice": "Anna"}, 400, "bad_request", "send one of them"),
    ({"voice": "a\nb", "reference_audio": None}, 400, "bad_request", "voice"),
    ({"reference_audio": b""}, 400, "bad_request", "empty"),
    (
        {"reference_audio": b"this is no sound at all " * 50},
        422,
        "unusable_reference",
        "WAV, FLAC, MP3",
    ),
    ({"reference_audio": b"\0" * 3_000_001}, 413, "reference_too_large", "3000000"),
    (
        {"reference_audio": encoded(speech_of(2).samples, 24_000)},
        422,
        "unusable_reference",
        "at least 3 s",
    ),
    ({"reference_audio": encoded(hiss(8), 24_000)}, 422, "unusable_reference", "speech"),
    ({"enable_text_splitting": "perhaps"}, 400, "bad_request", "true or false"),
    ({"pronunciations": "SQL=sequel"}, 400, "bad_request", "JSON object"),
    ({"pronunciations": '{"SQL": ""}'}, 400, "bad_request", "JSON object"),
    ({"spoken_forms": "perhaps"}, 400, "bad_request", "spoken_forms must be true or false"),
    ({"seed": "-1"}, 400, "bad_request", "2^63"),
    ({"seed": "9" * 30}, 400, "bad_request", "2^63"),
    ({"volume": "2"}, 400, "bad_request", "unknown field"),
    ({"speed": "4.01"}, 400, "bad_request", "speed must be a number from 0.25 to 4"),
    ({"speed": "fast"}, 400, "bad_request", "speed must be a number from 0.25 to 4"),
    ({"temperature": "nan"}, 400, "bad_request", "temperature must be a number from 0.01 to 10"),
    ({"temperature": "1_0"}, 400, "bad_request", "temperature must be a number from 0.01 to 10"),
    ({"top_k": "1.5"}, 400, "bad_request", "top_k must be a whole number from 1 to 1000"),
    ({"top_k": "9" * 50}, 400, "bad_request", "top_k must be a whole number from 1 to 1000"),
    (
        {"loudness_lufs": "-40"},
        400,
        "bad_request",
        "loudness_lufs must be a number from -30 to -12 or off",
    ),
    (
        {"loudness_lufs": "on"},
        400,
        "bad_request",
        "loudness_lufs must be a number from -30 to -12 or off",
    ),
    (
        {"loudness_lufs": "Off"},
        422,
        "unsupported_parameter",
        "engine tone has no use for loudness_lufs",
    ),
    (
        {"temperature": "0.7"},
        422,
        "unsupported_parameter",
        "engine tone has no use for temperature; it takes speed",
    ),
    ({"speed": "1", "gpt_cond_len": "12"}, 422, "unsupported_parameter", "no use for gpt_cond_len"),
    ({"reference_audio": [VOICE] * 9}, 400, "bad_request", "1 to 8"),
    (
        {"reference_audio": [VOICE, b"", VOICE]},
        400,
        "bad_request",
        "file 2 of 3: reference_audio is empty",
    ),
    (
        {"reference_audio": [VOICE, VOICE, b"no sound"]},
        422,
        "unusable_reference",
        "file 3 of 3: the file is not audio",
    ),
    (
        {"reference_audio": [encoded(hiss(8), 24_000), VOICE]},
        422,
        "unusable_reference",
        "file 1 of 2: ",
    ),
    (
        {"reference_audio": [b"\0" * 2_000_000, b"\0" * 1_000_001]},
        413,
        "reference_too_large",
        "3000000",
    ),
    ({"text": b"\xff\xfe"}, 400, "bad_request", "UTF-8"),
]


async def test_bad_input_is_refused_with_what_to_do_about_it(service: Service) -> None:
    for endpoint in ("/synthesize", "/stream"):
        for fields, status, code, advice in REFUSALS:
            refused = await service.refused(endpoint, **fields)
            assert refused[:2] == (status, code), f"{list(fields)}: {refused}"
            assert advice in refused[2]
    await service.until_idle()


async def test_a_body_that_is_no_form_is_refused(service: Service) -> None:
    for body, headers in [
        (b"{}", {"Content-Type": "application/json"}),
        (b"garbage", {"Content-Type": "multipart/form-data; boundary=x"}),
        (b"", {"Content-Type": "multipart/form-data"}),
        (
            b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nhello',
            {"Content-Type": "multipart/form-data; boundary=x"},
        ),
    ]:
        async with service.session.post(
            f"{service.address}/synthesize", data=body, headers=headers
        ) as response:
            assert response.status == 400, body
            assert (await response.json(content_type="application/problem+json"))[
                "code"
            ] == "bad_request"


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(service: Service) -> None:
    async with service.session.get(f"{service.address}/nothing") as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")
    async with service.session.get(f"{service.address}/synthesize") as response:
        assert (response.status, response.content_type) == (405, "application/problem+json")


async def test_a_short_reference_is_taken_with_a_warning(service: Service) -> None:
    async with await service.post(
        "/synthesize", reference_audio=encoded(speech_of(4).samples, 24_000)
    ) as response:
        assert response.status == 200
        assert response.headers["X-Reference-Warning"].startswith("short")
        await response.read()


async def test_several_files_become_one_voice_in_the_order_in_which_they_were_sent(
    fresh: Service,
) -> None:
    for path in ("/synthesize", "/stream"):
        async with await fresh.post(
            path, text="Hello.", reference_audio=[VOICE, OTHER_VOICE, VOICE]
        ) as response:
            assert response.status == 200
            await response.read()
    clips = [sha256(await prepared(file)).hexdigest() for file in (VOICE, OTHER_VOICE)]
    key = f"tone.1.public.{sha256('/'.join(clips).encode()).hexdigest()}"
    sounds = [read_wav(await fetch_clip(fresh.bus, "public", clip)).samples for clip in clips]
    voice = voice_of(b"".join(sound.tobytes() for sound in sounds))
    assert await fresh.bus.get_value(topology.VOICES, key) == sha256(voice).digest() + voice
    assert await fresh.metric('tts_reference_uploads_total{outcome="decoded"}') == 2


async def test_warnings_are_given_for_each_of_several_files(service: Service) -> None:
    files = [VOICE, encoded(speech_of(4).samples, 24_000)]
    async with await service.post("/stream", text="Hello.", reference_audio=files) as response:
        assert response.status == 200
        assert response.headers["X-Reference-Warning"].startswith("file 2 of 2: short")
        await response.read()


async def test_how_to_speak_is_a_field_of_the_form_and_an_empty_one_is_as_usual(
    service: Service,
) -> None:
    for path in ("/synthesize", "/stream"):
        async with await service.post(path, speed=" 1.6 ", temperature="", top_k="  ") as response:
            body = await response.read()
        assert response.status == 200
        assert digest([pcm_of(body)]) == digest([expected_pcm(speed=1.6)])


async def test_a_seed_gives_the_same_audio_whatever_else_is_spoken_and_however_it_is_requested(
    service: Service,
) -> None:
    async def heard(path: str, **fields: Field) -> tuple[str, str]:
        async with await service.post(path, **fields) as response:
            body = await response.read()
            return response.headers["X-Seed"], digest([pcm_of(body)])

    [alone] = await asyncio.gather(heard("/synthesize", seed="7"))
    crowd = (
        heard("/stream", seed=str(seed), text=TEXT * 2, language="fr") for seed in range(20, 26)
    )
    again = (
        heard(path, seed="7", speed=speed)
        for path in ("/stream", "/synthesize")
        for speed in (None, "1")
    )
    together = await asyncio.gather(*crowd, *again)
    assert alone == ("7", digest([expected_pcm(seed=7)]))
    assert together[6:] == [alone] * 4
    assert [told for told, _ in together[:6]] == [str(seed) for seed in range(20, 26)]
    assert len({sound for _, sound in together}) == 7


async def test_a_clip_is_stored_once_whatever_it_was_called_and_however_it_was_packed(
    fresh: Service,
) -> None:
    samples = (speech_of(7).samples * 32767).astype("int16")
    for file in (
        encoded(samples, 24_000),
        encoded(samples, 24_000, "FLAC", "PCM_16"),
        encoded(samples, 24_000),
    ):
        async with await fresh.post(
            "/synthesize", text="Hello there.", reference_audio=file
        ) as response:
            assert response.status == 200
            await response.read()
    jetstream = fresh.bus._jetstream
    assert len(await (await jetstream.object_store(topology.CLIPS)).list()) == 1
    assert await fresh.metric('tts_reference_uploads_total{outcome="known"}') == 1


def raw_form(*, body_bytes: int, length: int) -> bytes:
    """Return the start of a request whose body is cut after so many bytes."""
    head = (
        b"POST /synthesize HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: %d\r\n\r\n" % length
    )
    body = (
        b'--x\r\nContent-Disposition: form-data; name="reference_audio"; filename="a"\r\n\r\n'
        + b"\1" * body_bytes
    )
    return head + body[:body_bytes]


async def test_a_body_cut_in_the_middle_leaves_nothing_behind(service: Service) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(raw_form(body_bytes=5_000, length=1_000_000))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(60):
        while await service.metric("tts_requests_in_flight"):
            await asyncio.sleep(0.05)
    assert reader is not None
    assert await service.bus.message_count(topology.REQUESTS) == 0


async def test_a_client_that_stops_sending_is_let_go(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        client.sendall(raw_form(body_bytes=5_000, length=1_000_000))
        answer = await asyncio.to_thread(client.recv, 4096)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"upload_stalled" in answer


async def test_without_workers_a_request_is_refused_before_its_body_is_read(tmp_path: Path) -> None:
    async with local_nats(tmp_path) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        await bus.establish(topology.topology())
        async with (
            CachedDecoder() as decoder,
            edge(bus, decoder, SETTINGS, asyncio.Event()) as app,
            TestServer(app) as http,
            aiohttp.ClientSession() as session,
        ):
            service = Service(session, bus, str(http.make_url("")), http.port or 0)
            status, code, detail = await service.refused()
            assert (status, code) == (503, "engine_unavailable")
            assert "no worker" in detail
            # What starts a first worker where there may be none (deploy/k8s/components/scaling/xtts).
            assert await service.metric('tts_failures_total{code="engine_unavailable"}') == 1
            async with await service.post("/synthesize") as response:
                # no speed was measured
                assert (response.status, response.headers["Retry-After"]) == (503, "5")
            async with session.get(http.make_url("/readyz")) as response:
                assert response.status == 503
            async with session.get(http.make_url("/")) as response:
                assert (await response.json())["parameters"] == {}
            async with session.get(http.make_url("/health")) as response:
                assert (await response.json())["status"] == "unhealthy"
        await bus.close()


@pytest.mark.parametrize("service", [1.0], indirect=True)
async def test_a_client_that_leaves_in_the_middle_cancels_its_work(service: Service) -> None:
    before = await service.metric("tts_cancelled_requests_total")
    async with await service.post("/stream", text=TEXT * 10) as response:
        await response.content.readexactly(1_000)
        response.close()
    await service.until_idle()
    assert await service.metric("tts_cancelled_requests_total") == before + 1
    assert await service.metric("tts_requests_in_flight") == 0
    async with await service.post("/synthesize", text="Still here.") as response:
        assert response.status == 200
        await response.read()


@pytest.mark.parametrize("service", [1.0], indirect=True)
async def test_a_speech_that_fails_in_the_middle_is_cut_and_never_ends_as_if_whole(
    service: Service,
) -> None:
    counter = 'tts_failures_total{code="cancelled"}'
    before = await service.count(counter)
    async with await service.post("/stream", text=TEXT * 10) as response:
        request = response.headers["Request-Name"]
        await response.content.readexactly(1_000)
        await cancel(service.bus, "public", request)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    await service.until_idle()
    assert await service.count(counter) == before + 1


@pytest.mark.parametrize("service", [0.5], indirect=True)
async def test_a_stream_begins_long_before_it_ends(service: Service) -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with await service.post("/stream", text=TEXT * 3) as response:
        await response.content.readexactly(44 + 2)
        first_s = loop.time() - began_s
        await response.read()
        whole_s = loop.time() - began_s
    assert first_s < whole_s / 3
