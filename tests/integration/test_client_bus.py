"""The client library over NATS alone: ordered audio, reconnection, failures, cancellation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from services.common.bus import topology
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import local_nats
from tests.support.front import VOICE, Front
from tests.support.service import TEXT, expected_pcm, sentence_count, tone_service
from tests.support.wav import pcm_of
from voice_cloning_client import (
    IncompleteAudio,
    InvalidInput,
    NotFound,
    Overloaded,
    Retry,
    ServiceError,
    Timeouts,
    Unavailable,
)
from voice_cloning_client.bus import BusAccess, BusClient, connect

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = " ".join(f"{TEXT} That was number {number}." for number in range(3))
SWIFT = Retry(first_s=0.01, longest_s=0.05)


def nats_url(service: Front) -> str:
    return str(service.bus.client.connected_url.geturl())


@pytest_asyncio.fixture(loop_scope="module")
async def client(service: Front) -> AsyncIterator[BusClient]:
    async with connect(nats_url(service), retry=SWIFT) as made:
        yield made


class CuttingLine:
    """A TCP connection to NATS that can be cut."""

    def __init__(self, target: str) -> None:
        self.address = ""
        self._port = int(target.rpartition(":")[2])
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, back}
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while block := await reader.read(65_536):
                writer.write(block)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def cut(self) -> None:
        """Break all connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


@asynccontextmanager
async def line_to(target: str) -> AsyncIterator[CuttingLine]:
    line = CuttingLine(target)
    server = await asyncio.start_server(line.serve, "127.0.0.1", 0)
    line.address = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield line
    finally:
        server.close()
        line.cut()
        await asyncio.sleep(0.1)


async def test_speech_over_nats_is_the_audio_of_the_service(client: BusClient) -> None:
    audio = await client.speak(TEXT, language="en", clips=VOICE, seed=42)
    assert pcm_of(audio.data) == expected_pcm()
    assert audio.data[40:44] == len(expected_pcm()).to_bytes(4, "little")
    assert (audio.info.engine, audio.info.sample_rate_hz, audio.info.seed) == ("tone", 24_000, 42)


async def test_a_built_in_voice_and_parameters_are_sent(client: BusClient) -> None:
    audio = await client.speak(TEXT, language="en", voice="low", seed=42, format="pcm", speed=2.0)
    assert audio.info.voice == "builtin:low"
    assert len(audio.data) < len(expected_pcm())


async def test_failures_are_the_errors_of_http(client: BusClient) -> None:
    with pytest.raises(ServiceError) as caught:
        await client.speak("Hello.", language="sv", clips=VOICE)
    assert caught.value.code == "unsupported_language"

    with pytest.raises(NotFound):
        await client.speak("Hello.", language="en", voice="Nobody Knows")

    with pytest.raises(ServiceError) as caught:
        await client.speak("Hello.", language="en", clips=b"not audio")
    assert caught.value.code == "unusable_reference"

    with pytest.raises(ServiceError) as caught:
        await client.speak("Hello.", language="en", clips=VOICE, temperature=0.5)
    assert caught.value.code == "unsupported_parameter"


async def test_an_engine_that_does_not_run_is_named(service: Front) -> None:
    async with connect(nats_url(service)) as client:
        with pytest.raises(ServiceError, match="running engines: tone") as caught:
            await client.speak("Hello.", language="en", engine="xtts")
    assert (caught.value.code, caught.value.retryable) == ("engine_unavailable", False)
    assert not isinstance(caught.value, Overloaded)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"language": ""}, "language is required"),
        ({"language": "auto"}, "language is required"),
        ({"language": "en", "format": "mp3"}, "send wav or pcm"),
    ],
)
async def test_what_needs_http_is_refused_before_anything_is_sent(
    client: BusClient, fields: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        await client.speak("Hello.", **fields)


@pytest.mark.parametrize("service", [0.3], indirect=True)
async def test_a_connection_that_breaks_again_and_again_loses_nothing(service: Front) -> None:
    async with (
        line_to(nats_url(service)) as line,
        connect(line.address, retry=SWIFT) as client,
    ):
        stream = await client.stream(LONG, language="en", clips=VOICE, seed=42, format="pcm")
        received = bytearray()
        cuts = 0
        async with stream:
            async for block in stream:
                received += block
                if len(received) > 200_000 * cuts:
                    cuts += 1
                    line.cut()

    assert cuts > 2
    assert bytes(received) == expected_pcm(LONG)


@pytest.mark.parametrize("service", [1.0], indirect=True)
async def test_a_stream_that_is_left_cancels_its_request(service: Front, client: BusClient) -> None:
    stream = await client.stream(LONG, language="en", clips=VOICE)
    async with stream:
        await anext(stream)
    await service.until_idle()
    assert await service.spoken() < sentence_count(LONG)


async def test_nats_that_does_not_exist_is_unavailable() -> None:
    timeouts = Timeouts(connect_s=0.5)
    with pytest.raises(Unavailable, match="cannot connect to NATS"):
        async with connect("nats://127.0.0.1:9", timeouts=timeouts):
            pass


async def test_nats_without_a_service_is_unavailable(tmp_path: Path) -> None:
    async with local_nats(tmp_path) as server, connect(server.url, retry=SWIFT) as client:
        with pytest.raises(Unavailable, match="no worker is alive"):
            await client.speak("Hello.", language="en")
        with pytest.raises(Unavailable, match="no edge is running"):
            await client.speak("Hello.", language="en", clips=VOICE, engine="tone")
        with pytest.raises(Unavailable, match="no service is connected"):
            await client.speak("Hello.", language="en", engine="tone")


async def test_a_service_that_stops_in_the_middle_leaves_incomplete_audio(tmp_path: Path) -> None:
    timeouts = Timeouts(idle_s=1.0)

    async with local_nats(tmp_path) as server:
        bus = await NatsBus.connect(server.url, name="test", patience_s=5)
        await bus.establish(topology.topology())
        async with connect(server.url, timeouts=timeouts, retry=SWIFT) as client:
            async with tone_service(bus, real_time_factor=1.0):
                stream = await client.stream(LONG, language="en", voice="low", format="pcm")
                await anext(stream)
            with pytest.raises(IncompleteAudio):
                async for _ in stream:
                    pass
        await bus.close()


async def test_a_tenant_that_is_no_subject_token_is_refused() -> None:
    with pytest.raises(InvalidInput):
        BusAccess(tenant="a.b").tenant_name()
