"""The service with the XTTS engine, on a small random checkpoint: unintelligible, but all of it runs."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
import pytest

from services.common.runtime.local_nats import free_port, local_nats
from services.common.voice_file import draft_voice, pack_voice
from services.common.voice_tensors import VoiceTensors, pack_tensors
from tests.support.messages import CONSENT
from tests.support.recordings import CLIP_FILE
from tests.support.wav import pcm_of
from tests.support.xtts_checkpoint import make_checkpoint

WIDTH = 64  # of the small checkpoint's decoder
ROOT = Path(__file__).parents[2]
TEXT = (
    "Good morning. This is the second sentence, and it follows the first one. Here the text ends."
)
# What no speed shortens: the quiet at both ends of three sentences (200 ms), and two pauses (280 ms); 48 bytes a ms.
QUIET_BYTES = 48 * (3 * 200 + 2 * 280)


@asynccontextmanager
async def launched(
    tmp_path: Path, port: int, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    async with local_nats(tmp_path) as nats:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services", "run", "--no-ui", "--port", str(port)),
            cwd=ROOT,
            env=os.environ
            | {"ENGINE": "xtts", "NATS_URL": nats.url, "WORKER_THREADS": "1"}
            | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
                await asyncio.wait_for(process.wait(), 60)


async def post(session: aiohttp.ClientSession, address: str, **fields: str) -> tuple[int, bytes]:
    form = aiohttp.FormData({"text": TEXT, "language": "en", "seed": "7"} | fields)
    form.add_field("reference_audio", CLIP_FILE.read_bytes(), filename="austen.flac")
    async with session.post(address, data=form) as response:
        return response.status, await response.read()


async def ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(120):
        while line := await process.stdout.readline():
            if b"Ready after" in line:
                return
    pytest.fail("it ended before it was ready")


async def spoken_after_import(session: aiohttp.ClientSession, address: str) -> tuple[int, bool]:
    """Import latents without recordings, and speak with them; return status and whether there is audio."""
    drawn = np.random.default_rng(1)
    latents = {
        "gpt_cond_latent": drawn.normal(size=(1, 32, WIDTH)).astype(np.float32),
        "speaker_embedding": drawn.normal(0, 0.04, (1, 512, 1)).astype(np.float32),
    }
    computed = pack_tensors(VoiceTensors("xtts", "", latents))
    draft = msgspec.structs.replace(draft_voice("public", "Latents", [computed]), consent=CONSENT)
    file = aiohttp.FormData(default_to_multipart=True)
    file.add_field("file", pack_voice(draft, [], [computed]), filename="latents.voice.zip")
    async with session.post(f"{address}/voices/import", data=file) as response:
        assert response.status == 201, await response.text()
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in {"text": TEXT, "language": "en", "seed": "7", "voice": "Latents"}.items():
        form.add_field(name, value)
    async with session.post(f"{address}/synthesize", data=form) as response:
        return response.status, len(await response.read()) > 48_000


async def test_xtts_speaks_over_http_and_gives_the_same_audio_in_a_crowd(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "model")
    port = free_port()
    settings = {
        "COQUI_TOS_AGREED": "1",
        "XTTS_MODEL_DIR": str(tmp_path / "model"),
        "XTTS_PRECISION": "float32",
    }
    settings["QUEUE_AUDIO_S"] = "1000"  # a machine that does more is slow, and would refuse a crowd
    async with launched(tmp_path, port, **settings) as process, aiohttp.ClientSession() as session:
        await ready(process)
        assert process.stdout is not None
        reading = asyncio.create_task(process.stdout.read())
        address = f"http://127.0.0.1:{port}"
        status, alone = await post(session, f"{address}/synthesize")
        assert status == 200
        assert len(alone) > 48_000
        (_, crowded), *others = await asyncio.gather(
            post(session, f"{address}/stream"),
            post(session, f"{address}/synthesize", seed="8"),
            post(session, f"{address}/stream", language="de", text="Guten Morgen, liebe Leute."),
        )
        assert pcm_of(crowded) == pcm_of(alone)
        assert [status for status, _ in others] == [200, 200]
        assert pcm_of(others[0][1]) != pcm_of(alone), "another seed is another reading"
        _, fast = await post(session, f"{address}/synthesize", speed="2", temperature="0.75")
        assert len(fast) - QUIET_BYTES == pytest.approx((len(alone) - QUIET_BYTES) / 2, rel=0.2)
        assert await spoken_after_import(session, address) == (200, True)
        async with session.get(f"{address}/") as response:
            about = await response.json()
        assert about["engine"] == "xtts"
        assert about["parameters"]["temperature"]["default"] == 0.75
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert b"Traceback" not in await reading


async def test_without_the_licence_accepted_the_service_ends_and_reports_what_to_read_and_set(
    tmp_path: Path,
) -> None:
    async with launched(tmp_path, free_port(), COQUI_TOS_AGREED="") as process:
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    for word in (
        b"Coqui Public Model License",
        b"non-commercial",
        b"https://coqui.ai/cpml",
        b"COQUI_TOS_AGREED=1",
    ):
        assert word in said
    assert b"Traceback" not in said
