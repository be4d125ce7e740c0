"""The service as a stranger starts it: `python -m services`, the embedded engine, an HTTP client and a NATS client."""

import asyncio
import io
import os
import signal
import socket
import sys
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from services.common.audio.pcm import from_pcm16
from services.common.audio.wav import read_wav
from services.common.runtime.local_nats import free_port, local_nats
from services.http_edge.intake.reference.decoder import ReferenceDecoder
from tests.support.recordings import CLIP_FILE
from tests.support.wav import pcm_of

ROOT = Path(__file__).parents[2]
TEXT = (
    "Good morning. This is the second sentence, and it follows the first one. Here the text ends."
)


@dataclass
class Running:
    address: str
    nats_url: str
    process: asyncio.subprocess.Process


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """Start NATS, an edge, a splitter and two embedded workers, and end them by Ctrl-C."""
    port = free_port()
    async with local_nats(tmp_path) as nats:
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "services",
                "run",
                "--workers",
                "2",
                "--port",
                str(port),
                "--no-ui",
            ),
            cwd=ROOT,
            env=os.environ | {"NATS_URL": nats.url, "WORKER_THREADS": "1"},
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        lines: list[str] = []
        async with asyncio.timeout(180):
            while not any("Ready after" in line for line in lines):
                line = (await process.stdout.readline()).decode()
                assert line, f"it ended before it was ready: {lines[-5:]}"
                lines.append(line)
        reading = asyncio.create_task(process.stdout.read())
        yield Running(f"http://127.0.0.1:{port}", nats.url, process)
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        rest = (await reading).decode()
        assert "Ended." in rest
        assert "Traceback" not in rest
        assert TEXT[:20] not in "".join(lines) + rest, "a text in the log"


async def spoken(
    running: Running, session: aiohttp.ClientSession, path: str, **fields: str
) -> tuple[bytes, float]:
    """Return the body and the seconds to its first audio."""
    form = aiohttp.FormData({"text": TEXT, "language": "en", "seed": "7"} | fields)
    form.add_field("reference_audio", CLIP_FILE.read_bytes(), filename="austen.flac")
    began_s = asyncio.get_running_loop().time()
    async with session.post(f"{running.address}{path}", data=form) as response:
        assert response.status == 200, await response.text()
        head = await response.content.readexactly(44 + 2)
        first_s = asyncio.get_running_loop().time() - began_s
        return head + await response.read(), first_s


async def test_a_stranger_hears_a_cloned_voice_over_http_and_over_nats(
    running: Running, tmp_path: Path
) -> None:
    async with aiohttp.ClientSession() as session:
        whole, _ = await spoken(running, session, "/synthesize")
        with wave.open(io.BytesIO(whole)) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
            pcm = file.readframes(file.getnframes())
        assert 3 < len(pcm) / 48_000 < 15
        assert float(np.sqrt(np.mean(np.square(from_pcm16(pcm))))) > 0.01

        streamed, _ = await spoken(running, session, "/stream")
        assert pcm_of(streamed) == pcm, (
            "equal requests with equal seeds sound equal, whoever speaks which sentence"
        )

        (other, _), (crowded, _), _ = await asyncio.gather(
            spoken(
                running, session, "/synthesize", text="Guten Morgen, liebe Leute.", language="de"
            ),
            spoken(running, session, "/stream", speed="1"),
            spoken(
                running,
                session,
                "/stream",
                text="Bonjour tout le monde. Il fait beau.",
                language="fr",
            ),
        )
        assert len(other) > 48_000
        assert pcm_of(crowded) == pcm, "and whatever else is spoken at the same time"

    async with ReferenceDecoder(1) as decoder:
        clip = await decoder.prepare(CLIP_FILE, "acme")
    reference = tmp_path / "reference.wav"
    reference.write_bytes(clip.wav)
    client = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            ROOT / "examples" / "nats_client.py",
            running.nats_url,
            reference,
            "en",
            "Hello from the bus.",
        ),
        stdout=asyncio.subprocess.PIPE,
    )
    sound, _ = await asyncio.wait_for(client.communicate(), 60)
    assert client.returncode == 0
    assert len(sound) > 24_000


async def test_the_demo_speaks_to_a_file_and_ends(tmp_path: Path) -> None:
    out = tmp_path / "demo.wav"
    demo = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "services",
            "demo",
            "--out",
            out,
            "--language",
            "en",
            "--text",
            "It speaks.",
        ),
        cwd=ROOT,
    )
    assert await asyncio.wait_for(demo.wait(), 180) == 0
    assert read_wav(out.read_bytes()).seconds > 0.5


async def test_a_port_in_use_is_reported_in_one_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        other_port = other.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services", "run", "--no-ui", "--port", str(other_port)),
            cwd=ROOT,
            env=os.environ | {"ENGINE": "tone"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    taken = f"port {other_port} is taken by process {os.getpid()} ("
    assert taken in error.decode()
    assert b"choose another port with --port" in error
    assert out == b"", "nothing was started"


async def test_a_worker_that_cannot_start_ends_the_whole_with_its_reason() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services", "run", "--no-ui", "--port", str(free_port())),
        cwd=ROOT,
        env=os.environ | {"ENGINE": "none-such"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert b"ENGINE" in out
    assert b"worker-1 ended" in error
