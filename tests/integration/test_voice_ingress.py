"""Commands of a tenant about its voices over NATS, on a real bus and on its twin."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec import UNSET

from services.common.audio.clip import Clip
from services.common.audio.wav import write_wav
from services.common.bus import topology
from services.common.bus.clips import clip_id, store_clip
from services.common.bus.heartbeats import splitters, workers
from services.common.bus.library.quota import VoiceLimits
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.runtime.lifecycle import tasks
from services.common.wire import codec, subjects
from services.common.wire.identity import library_voice_key
from services.common.wire.messages import Message, WorkerState
from services.common.wire.options import Parameters
from services.common.wire.parts import BuiltInVoice
from services.common.wire.voices import (
    SHARED_TENANT,
    ChangeVoice,
    Consent,
    CreateVoice,
    DeleteVoice,
    ListVoices,
    ReadVoice,
    Voice,
    VoiceAnswer,
    VoiceDeleted,
    VoiceRefused,
    VoicesListed,
    voice_id,
)
from services.http_edge.capacity.fleet import Fleet
from services.http_edge.ingress import Responder, VoiceIngress
from services.http_edge.metrics import Metrics
from tests.support.buses import bus_of
from tests.support.front import VOICE, front
from tests.support.messages import CONSENT, EXAMPLES, STORED_VOICE

WIRE_DOC = Path(__file__).parents[2] / "docs" / "wire.md"
RATE_HZ = 24_000
LIMITS = VoiceLimits(voices=4, clip_bytes=1_000_000)
BUILT_IN = BuiltInVoice(name="Heart", gender="female", languages=("en",))
Reply = VoiceAnswer | VoiceDeleted | VoicesListed | VoiceRefused


def recording(seed: int, seconds: float = 3.0) -> bytes:
    samples = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE_HZ))
    return write_wav(Clip(samples.astype(np.float32), RATE_HZ))


@dataclass
class Client:
    """A tenant's client, and what the bus stores for it."""

    bus: Bus
    fleet: Fleet
    tenant: str = "acme"
    clips: list[str] = field(default_factory=list)

    async def ask(self, command: Message | bytes, tenant: str | None = None) -> Reply:
        payload = command if isinstance(command, bytes) else codec.encode(command)
        subject = subjects.voice(tenant or self.tenant)
        answer = await self.bus.request(subject, payload, timeout_s=20)
        assert answer is not None
        return codec.decode(answer, Reply)  # type: ignore[arg-type]  # a union is a type to msgspec

    async def refused(self, command: Message | bytes, tenant: str | None = None) -> str:
        reply = await self.ask(command, tenant)
        assert isinstance(reply, VoiceRefused), reply
        assert reply.detail
        return reply.code

    async def voice(self, command: Message) -> Voice:
        reply = await self.ask(command)
        assert isinstance(reply, VoiceAnswer), reply
        return reply.voice

    async def page(self, **fields: object) -> VoicesListed:
        reply = await self.ask(ListVoices(tenant=self.tenant, **fields))  # type: ignore[arg-type]
        assert isinstance(reply, VoicesListed), reply
        return reply

    def create(self, name: str = "Anna", **changes: object) -> CreateVoice:
        command = CreateVoice(
            tenant=self.tenant, name=name, clips=(self.clips[0],), consent=CONSENT
        )
        return msgspec.structs.replace(command, **changes)

    async def stored(self) -> set[str]:
        """Return all keys of voices, and how many bytes their clips take."""
        held = {
            key
            for bucket in (topology.LIBRARY, topology.VOICES)
            for key in await self.bus.count_by_subject(f"KV_{bucket}", ">")
        }
        used = (await self.bus.storage_use(f"OBJ_{topology.VOICE_CLIPS}")).used
        return held | {f"{used} bytes"}


@asynccontextmanager
async def serving(bus: Bus, *, consent_required: bool = True) -> AsyncIterator[Client]:
    stop = asyncio.Event()
    fleet = Fleet("tone", workers(bus), splitters(bus))
    work = VoiceIngress(VoiceLibrary(bus, LIMITS), fleet, consent_required)
    responder = Responder(bus, Metrics(), subjects.VOICES, work, limit_per_tenant=4, limit=8)
    client = Client(bus, fleet)
    async with tasks() as group:
        group.create_task(fleet.workers.follow(stop))
        group.create_task(responder.serve(stop))
        client.clips = [await store_clip(bus, "acme", recording(seed)) for seed in range(2)]
        async with asyncio.timeout(60):  # core NATS: the first request may come too early
            while await bus.request(subjects.voice("acme"), b"", timeout_s=0.2) is None:
                pass
        try:
            yield client
        finally:
            stop.set()


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as made:
        yield made


@pytest.fixture
async def client(bus: Bus) -> AsyncIterator[Client]:
    async with serving(bus) as made:
        yield made


async def test_a_voice_is_created_read_changed_and_deleted(client: Client) -> None:
    before = await client.stored()
    made = await client.voice(
        client.create(
            clips=tuple(client.clips),
            language="fr",
            description="warm",
            parameters=Parameters(speed=1.5),
        )
    )
    assert (made.tenant, made.name, made.revision, made.state) == ("acme", "Anna", 1, "ready")
    assert (made.clips, made.audio_s) == (tuple(client.clips), 6.0)
    assert (made.language, made.description, made.consent) == ("fr", "warm", CONSENT)
    assert made.parameters == Parameters(speed=1.5)
    assert made.uploaded_by == ""
    for given in ("anna", made.voice):
        assert await client.voice(ReadVoice(tenant="acme", voice=given)) == made

    changed = await client.voice(
        ChangeVoice(tenant="acme", voice="Anna", name="Anne", language=None)
    )
    assert (changed.name, changed.language, changed.description) == ("Anne", None, "warm")
    assert changed.revision == 1
    assert await client.refused(ReadVoice(tenant="acme", voice="Anna")) == "unknown_voice"

    assert await client.ask(DeleteVoice(tenant="acme", voice="ANNE")) == VoiceDeleted(
        voice=made.voice
    )
    assert await client.refused(DeleteVoice(tenant="acme", voice="Anne")) == "unknown_voice"
    assert await client.refused(DeleteVoice(tenant="acme", voice=made.voice)) == "unknown_voice"
    assert await client.stored() == before


async def test_replaced_clips_are_a_new_revision_and_the_old_ones_are_erased(
    client: Client,
) -> None:
    made = await client.voice(client.create())
    computed = library_voice_key("acme", made.voice, 1, "tone.1")
    await client.bus.put_value(topology.VOICES, computed, b"computed")
    change = ChangeVoice(
        tenant="acme",
        voice="Anna",
        name="Anne",
        clips=(client.clips[1],),
        consent=CONSENT,
        description="new",
    )
    assert await client.refused(msgspec.structs.replace(change, consent=UNSET)) == (
        "consent_required"
    )
    replaced = await client.voice(change)
    assert (replaced.revision, replaced.name, replaced.description) == (2, "Anne", "new")
    assert (replaced.clips, replaced.leftovers) == ((client.clips[1],), ())
    assert await client.bus.get_value(topology.VOICES, computed) is None


async def test_a_replacement_that_fails_changes_nothing(client: Client) -> None:
    made = await client.voice(client.create())
    before = await client.stored()
    long = await store_clip(client.bus, "acme", recording(9, seconds=25))
    change = ChangeVoice(tenant="acme", voice="Anna", name="Anne", clips=(long,), consent=CONSENT)
    assert await client.refused(change) == "tenant_voices_full"
    now = await client.voice(ReadVoice(tenant="acme", voice="Anna"))
    assert (now.name, now.revision, now.clips) == ("Anna", 1, made.clips)
    assert await client.stored() == before


async def test_consent_is_required_unless_a_setting_makes_it_optional(bus: Bus) -> None:
    async with serving(bus) as client:
        assert await client.refused(client.create(consent=None)) == "consent_required"
        never = Consent(speaker="A", statement="B", date="2026-02-30", method="written")
        assert await client.refused(client.create(consent=never)) == "malformed_message"
        assert await client.page() == VoicesListed(voices=())
    async with serving(bus, consent_required=False) as client:
        assert (await client.voice(client.create(consent=None))).consent is None


async def test_bad_commands_are_refused_with_what_to_send(client: Client) -> None:
    await client.voice(client.create())
    other = await store_clip(client.bus, "globex", recording(7))
    noise = await store_clip(client.bus, "acme", b"no recording")
    no_voice = voice_id(1, 1)
    refusals: dict[str, list[Message | bytes]] = {
        "malformed_message": [
            b"",
            b"\xc1",
            b"{}",
            codec.encode(EXAMPLES[-1]),
            client.create(tenant="globex"),
            client.create("Uploads"),
            client.create(no_voice),
            client.create("a/b"),
            client.create("Bert", clips=()),
            client.create("Bert", clips=9 * (client.clips[0],)),
            ChangeVoice(tenant="acme", voice="Anna", name="import"),
            ListVoices(tenant="acme", limit=0),
            ListVoices(tenant="acme", limit=1000),
        ],
        "unknown_clip": [
            client.create("Bert", clips=("0" * 64,)),
            client.create("Bert", clips=(other,)),
        ],
        "unusable_reference": [client.create("Bert", clips=(noise,))],
        "voice_name_taken": [client.create("ANNA")],
        "unknown_voice": [
            ReadVoice(tenant="acme", voice="Bert"),
            ChangeVoice(tenant="acme", voice=no_voice, name="Bert"),
            DeleteVoice(tenant="acme", voice=no_voice),
        ],
    }
    before = await client.stored()
    for code, commands in refusals.items():
        for command in commands:
            assert await client.refused(command) == code, command
    assert await client.stored() == before


async def test_a_tenant_reaches_its_own_and_the_shared_voices_only(client: Client) -> None:
    library = VoiceLibrary(client.bus)
    made = await client.voice(client.create())
    shared = await library.create(
        msgspec.structs.replace(STORED_VOICE, name="House", tenant=SHARED_TENANT), [b"a clip"]
    )
    for command in (
        ReadVoice(tenant="globex", voice=made.voice),
        ChangeVoice(tenant="globex", voice=made.voice, name="Mine"),
        DeleteVoice(tenant="globex", voice=made.voice),
        DeleteVoice(tenant="globex", voice="House"),
        ChangeVoice(tenant="globex", voice=shared.voice, name="Mine"),
    ):
        assert await client.refused(command, "globex") == "unknown_voice", command
    for command in (
        DeleteVoice(tenant=SHARED_TENANT, voice="House"),
        client.create(tenant=SHARED_TENANT),
    ):
        assert await client.refused(command, SHARED_TENANT) == "malformed_message", command

    seen = await client.voice(ReadVoice(tenant="acme", voice="House"))
    assert seen == msgspec.structs.replace(shared, consent=None, uploaded_by="")
    assert STORED_VOICE.consent is not None


async def test_voices_are_listed_page_by_page_and_built_in_ones_on_the_first(
    client: Client,
) -> None:
    [state] = [example for example in EXAMPLES if isinstance(example, WorkerState)]
    state = msgspec.structs.replace(state, voices=(BUILT_IN,))
    await client.bus.send(subjects.worker_state(state.engine, state.worker), codec.encode(state))
    library = VoiceLibrary(client.bus)
    names = []
    for number in range(3):
        for tenant in ("acme", SHARED_TENANT, "globex"):
            draft = msgspec.structs.replace(STORED_VOICE, name=f"{tenant} {number}", tenant=tenant)
            await library.create(draft, [b"a clip"])
            names += [draft.name] if tenant != "globex" else []
            await asyncio.sleep(0.002)  # so that the ids are in order
    async with asyncio.timeout(60):
        while not client.fleet.workers.alive():
            await asyncio.sleep(0.02)

    for limit in (1, 2, 4, 6, 200):
        seen: list[str] = []
        after, builtin = None, (BUILT_IN,)
        while True:
            page = await client.page(limit=limit, after=after)
            assert len(page.voices) <= limit
            assert page.builtin == builtin
            seen += [voice.name for voice in page.voices]
            after, builtin = page.next, ()
            if after is None:
                break
        assert seen == names, limit


async def test_a_tenant_stores_as_many_voices_as_it_may(client: Client) -> None:
    for number in range(4):
        await client.voice(client.create(f"voice {number}"))
    assert await client.refused(client.create("one more")) == "tenant_voices_full"
    await client.ask(DeleteVoice(tenant="acme", voice="voice 0"))
    await client.voice(client.create("one more"))


async def test_of_equal_names_at_once_one_is_created(client: Client) -> None:
    replies = await asyncio.gather(*(client.ask(client.create()) for _ in range(4)))
    assert sum(isinstance(reply, VoiceAnswer) for reply in replies) == 1
    codes = {reply.code for reply in replies if isinstance(reply, VoiceRefused)}
    assert codes == {"voice_name_taken"}


async def test_changes_are_logged_for_an_audit_without_names(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await client.voice(client.create("Annabel", description="of the north"))
    await client.voice(
        ChangeVoice(tenant="acme", voice="Annabel", clips=(client.clips[1],), consent=CONSENT)
    )
    await client.ask(DeleteVoice(tenant="acme", voice="Annabel"))
    logged = capsys.readouterr().out
    for event in ("voice_created", "voice_clips_replaced", "voice_deleted"):
        [line] = [line for line in logged.splitlines() if event in line]
        assert made.voice in line
        assert "acme" in line
    for private in ("Annabel", "north", CONSENT.speaker, clip_id(recording(0))):
        assert private not in logged


async def test_the_example_of_the_documentation_stores_a_voice(tmp_path: Path) -> None:
    _, _, section = WIRE_DOC.read_text().partition("### Voices over NATS")
    program, _, _ = section.partition("```python\n")[2].partition("```")
    (tmp_path / "reference.wav").write_bytes(VOICE)
    async with front(tmp_path) as service:
        program = program.replace(
            "nats://127.0.0.1:4222", service.bus._client.connected_url.geturl()
        )  # type: ignore[union-attr]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=tmp_path
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0
        assert b"VoiceAnswer" in output
        made = await VoiceLibrary(service.bus).require("public", "Anna")
    assert made.consent is not None
    assert made.audio_s > 3
