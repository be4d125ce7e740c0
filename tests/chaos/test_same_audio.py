"""Marked speech of the embedded engine has the same bytes whichever way it leaves, also if its worker is killed."""

import asyncio
import secrets
from hashlib import sha256
from pathlib import Path

import aiohttp

from services.common.audio.clip import Clip
from services.common.audio.pcm import from_pcm16
from services.common.audio.watermark.detection import detect
from services.common.bus.inbox import Inbox, open_inbox
from services.common.bus.nats.connection import NatsBus
from services.common.bus.provenance.reading import entry_pages, verify_chain
from services.common.wire import codec
from services.common.wire.fields import WATERMARK
from services.common.wire.messages import AudioChunk, SentenceSpoken
from services.common.wire.provenance import ProvenanceEntry
from tests.chaos.parts import House, house
from tests.support.wav import pcm_of

TEXT = "It was a bright cold day in April, and the clocks were striking thirteen. Then he stopped."
SETTINGS = {"ENGINE": "embedded", "WORKER_THREADS": "1"}
RATE_HZ = 24_000
KILLS = 5  # at most: a sentence can be complete before its worker is killed


class Client:
    """One edge, and the NATS behind it."""

    def __init__(self, address: str, session: aiohttp.ClientSession, bus: NatsBus) -> None:
        self.address = address
        self.session = session
        self.bus = bus
        self.fields = {"text": TEXT, "language": "en", "seed": "7"}

    async def synthesized(self) -> bytes:
        """Return the PCM of a response with all of the speech."""
        url = f"{self.address}/synthesize"
        async with self.session.post(url, data=self._form()) as response:
            assert response.status == 200, await response.text()
            assert response.headers["X-Watermark"] == WATERMARK
            return pcm_of(await response.read())

    def _form(self) -> aiohttp.FormData:
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in self.fields.items():
            form.add_field(name, value)
        return form

    async def openai(self) -> bytes:
        """Return the PCM of OpenAI's route; the other requests have its voice from then on."""
        body = {"input": TEXT, "language": "en", "seed": 7, "response_format": "pcm"}
        url = f"{self.address}/v1/audio/speech"
        async with self.session.post(url, json=body) as response:
            assert response.status == 200, await response.text()
            self.fields["voice"] = response.headers["X-Voice"]
            return await response.read()

    async def job(self) -> bytes:
        """Return the PCM of a job."""
        async with self.session.post(f"{self.address}/jobs", data=self._form()) as response:
            assert response.status == 202, await response.text()
            job = (await response.json())["id"]
        async with asyncio.timeout(120):
            while True:
                async with self.session.get(f"{self.address}/jobs/{job}") as response:
                    state = (await response.json())["state"]
                if state == "done":
                    break
                assert state in ("queued", "running")
                await asyncio.sleep(0.2)
        async with self.session.get(f"{self.address}/jobs/{job}/audio") as response:
            return pcm_of(await response.read())

    async def stream(self) -> tuple[bytes, bytes]:
        """Return the PCM of a streamed response, and that of a subscriber of its request on NATS."""
        name = secrets.token_hex(16)
        async with open_inbox(self.bus, "public", name) as inbox:
            url = f"{self.address}/stream"
            headers = {"Request-Name": name}
            async with self.session.post(url, data=self._form(), headers=headers) as response:
                assert response.status == 200, await response.text()
                return pcm_of(await response.read()), await received(inbox)

    async def streamed_while_killed(self, service: House) -> tuple[str, bytes]:
        """Return the id and the PCM of a response whose worker was killed in the middle of its first sentence."""
        for _ in range(KILLS):
            name = secrets.token_hex(16)
            url = f"{self.address}/stream"
            headers = {"Request-Name": name}
            async with (
                open_inbox(self.bus, "public", name) as inbox,
                self.session.post(url, data=self._form(), headers=headers) as response,
            ):
                assert response.status == 200, await response.text()
                await response.content.readexactly(44 + 2)
                await service.workers[0].kill()
                in_the_middle = await inbox.end(0) is None
                await service.workers[0].start()
                content = await response.content.read()
            await service.until_ready(self.session)
            if in_the_middle:
                return name, content
        raise AssertionError("every sentence was spoken before its worker could be killed")


async def received(inbox: Inbox) -> bytes:
    """Return the PCM of all sentences of a request, each checked by the digest of its end marker."""
    chunks: dict[tuple[int, int], bytes] = {}
    ends: dict[int, SentenceSpoken] = {}
    async with asyncio.timeout(120):
        while not ends or len(ends) < max(end.sentences for end in ends.values()):
            event = await inbox.next(60)
            if isinstance(event, AudioChunk):
                chunks[event.sentence, event.chunk] = event.pcm
            elif isinstance(event, SentenceSpoken):
                ends[event.sentence] = event
    sentences = [
        b"".join(chunks[sentence, chunk] for chunk in range(ends[sentence].chunks))
        for sentence in sorted(ends)
    ]
    assert [sha256(pcm).hexdigest() for pcm in sentences] == [
        ends[sentence].digest for sentence in sorted(ends)
    ]
    return b"".join(sentences)


async def test_every_way_out_has_the_same_marked_audio_also_if_its_worker_is_killed(
    tmp_path: Path,
) -> None:
    async with (
        house(tmp_path, splitters=1, workers=1, settings=SETTINGS) as service,
        aiohttp.ClientSession() as session,
    ):
        await service.until_ready(session)
        bus = await NatsBus.connect(service.nats.url, name="subscriber")
        client = Client(service.address(), session, bus)
        pcm = await client.openai()
        assert detect(Clip(from_pcm16(pcm), RATE_HZ)).marked
        assert await client.synthesized() == pcm
        assert await client.stream() == (pcm, pcm)
        assert await client.job() == pcm
        name, streamed = await client.streamed_while_killed(service)
        assert streamed == pcm[2:]

        report = await verify_chain(bus, "public")
        assert report.faults == ()
        logged = [
            (sentence.request, sentence.digest)
            async for page in entry_pages(bus, "public")
            for stored in page
            for sentence in codec.decode(stored.payload, ProvenanceEntry).sentences
        ]
        digests = {digest for _, digest in logged}
        assert len(digests) == 2, "each of the two sentences has one digest in all requests"
        assert {digest for request, digest in logged if request == name} == digests
        await bus.close()
