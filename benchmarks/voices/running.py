"""The service that is measured, and its requests."""

import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
import numpy as np

from services.__main__ import RunningService, until_ready, whole_service
from services.common.audio.clip import Clip
from services.common.audio.wav import write_wav
from services.common.bus.library.quota import VoiceLimits
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.nats.connection import NatsBus
from services.common.runtime.local_nats import local_nats
from services.common.runtime.tcp_ports import free_port
from services.common.wire.options import AS_USUAL
from services.common.wire.voices import Voice

TENANT: Final = "public"

_TEXT: Final = "Good morning."
_SETTINGS: Final = {
    "LOG_LEVEL": "error",
    "VOICE_CONSENT": "optional",
    "TENANT_VOICES": "1000000",
}


class FirstAudio(NamedTuple):
    """One request, in milliseconds."""

    heard: float  # from sending the form to the first bytes after the WAV header
    upload: float  # parts of Server-Timing
    voice: float


@dataclass(frozen=True)
class Service:
    """The running service and its library."""

    address: str
    running: RunningService
    session: aiohttp.ClientSession
    bus: NatsBus

    @property
    def library(self) -> VoiceLibrary:
        """Return the library, without the limits of a tenant."""
        return VoiceLibrary(self.bus, VoiceLimits(voices=1_000_000, clip_bytes=1 << 40))

    async def speak(self, *, clip: bytes | None = None, voice: str = "") -> FirstAudio:
        """Stream the text with an upload or a stored voice, to its end."""
        form = aiohttp.FormData({"text": _TEXT, "language": "en"}, default_to_multipart=True)
        if clip is None:
            form.add_field("voice", voice)
        else:
            form.add_field("reference_audio", clip, filename="reference")

        began_s = time.perf_counter()
        async with self.session.post(f"{self.address}/stream", data=form) as response:
            response.raise_for_status()
            await response.content.readexactly(44)
            await response.content.readany()
            heard_s = time.perf_counter() - began_s
            await response.read()

        parts = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))
        return FirstAudio(heard_s * 1000, float(parts["upload"]), float(parts["voice"]))

    async def get(self, path: str, **query: str) -> dict[str, object]:
        """Return the JSON of a path."""
        async with self.session.get(f"{self.address}{path}", params=query) as response:
            response.raise_for_status()
            return dict(await response.json())


@asynccontextmanager
async def service(engine: str, **settings: str) -> AsyncIterator[Service]:
    """Run the whole service with one worker on its own nats-server."""
    with tempfile.TemporaryDirectory(prefix="voices-") as folder:
        async with local_nats(Path(folder)) as server:
            os.environ |= _SETTINGS | settings | {"NATS_URL": server.url, "ENGINE": engine}
            async with whole_service(workers=1, port=free_port()) as running:
                await until_ready(f"{running.address}/readyz", running, running.parts[0])
                bus = await NatsBus.connect(server.url, name="benchmark")
                async with aiohttp.ClientSession() as session:
                    yield Service(running.address, running, session, bus)
                await bus.close()


def draft(name: str) -> Voice:
    """Return the draft of a voice."""
    return Voice(
        voice="v_" + "0" * 20,
        tenant=TENANT,
        name=name,
        revision=1,
        state="creating",
        clips=(),
        clip_bytes=0,
        audio_s=1.0,
        created_unix_ms=0,
        changed_unix_ms=0,
        language="en",
        parameters=AS_USUAL,
    )


def tone_wav(seconds: float) -> bytes:
    """Return a short recording."""
    time_s = np.arange(round(seconds * 24_000)) / 24_000
    return write_wav(Clip((0.3 * np.sin(2 * np.pi * 220 * time_s)).astype(np.float32), 24_000))


def memories(running: Service) -> dict[str, float]:
    """Return the resident memory of each part with its child processes, in MiB."""
    return {
        part.name: sum(map(resident_mebibytes, tree(part.process.pid)))
        for part in running.running.parts
    }


def tree(pid: int) -> Iterator[int]:
    """Yield a process and its descendants."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from tree(int(child))


def resident_mebibytes(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def machine() -> str:
    """Return the cores and the load average."""
    return f"{os.cpu_count()} shared cores, load average {os.getloadavg()[0]:.1f}"
