"""The voice library, on a real nats-server and on its twin in memory."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.common.bus import topology
from services.common.bus.library.quota import VoiceLimits
from services.common.bus.library.resolving import VoiceResolver, default_voice
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.wire import codec, subjects
from services.common.wire.failures import TenantVoicesFull, UnknownVoice, VoiceBusy, VoiceNameTaken
from services.common.wire.identity import library_key, library_voice_key, voice_clip_object
from services.common.wire.messages import WorkerState
from services.common.wire.options import Parameters
from services.common.wire.parts import BuiltInVoice
from services.common.wire.voices import SHARED_TENANT, Voice, VoiceForgotten, voice_id
from tests.support.buses import bus_of
from tests.support.messages import EXAMPLES, STORED_VOICE

FIRST, SECOND = b"first clip", b"second clip"
[WORKER] = [
    msgspec.structs.replace(
        message,
        voices=(BuiltInVoice(name="Heart", gender="female", languages=("en",)),),
        default_voices={"en": "Heart"},
    )
    for message in EXAMPLES
    if isinstance(message, WorkerState)
]


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    async with bus_of(request.param, tmp_path) as bus:
        yield bus


def draft(name: str = "Anna", tenant: str = "public") -> Voice:
    return msgspec.structs.replace(STORED_VOICE, name=name, tenant=tenant, leftovers=())


async def everything(bus: Bus) -> set[str]:
    """Return all keys of voices, and the bytes of their clips."""
    held: set[str] = set()
    for stream in (f"KV_{topology.LIBRARY}", f"KV_{topology.VOICES}"):
        held |= (await bus.count_by_subject(stream, ">")).keys()
    held |= {f"{(await bus.storage_use(f'OBJ_{topology.VOICE_CLIPS}')).used} bytes of clips"}
    return held


async def test_a_voice_is_found_by_id_and_by_name_in_any_case(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    made = await library.create(draft("Zoë"), [FIRST, SECOND, FIRST])
    assert (made.revision, made.state, len(made.clips)) == (1, "ready", 2)
    assert made.clip_bytes == len(FIRST) + len(SECOND)
    for name in (made.voice, "Zoë", "ZOË", "zoe\u0308"):
        assert await library.find("public", name) == made
    assert await library.find("other", made.voice) is None
    assert await library.find("other", "Zoë") is None
    assert await library.clips(made) == [FIRST, SECOND]


async def test_a_name_is_given_once_per_tenant(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    results = await asyncio.gather(
        *(library.create(draft("Anna"), [FIRST]) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, Voice) for result in results) == 1
    assert sum(isinstance(result, VoiceNameTaken) for result in results) == 4
    assert await library.count("public") == 1
    await library.create(draft("Anna", tenant="other"), [FIRST])


async def test_a_deleted_voice_leaves_nothing_behind(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    before = await everything(bus)
    listener = await bus.subscribe(subjects.FORGETS, limit=10)
    made = await library.create(draft(), [FIRST, SECOND])
    for revision, part in ((1, "tone.1"), (1, "preview.tone.1.fr"), (2, "tone.1")):
        key = library_voice_key("public", made.voice, revision, part)
        await bus.put_value(topology.VOICES, key, b"computed")
    assert await library.delete("public", made.voice)
    assert await everything(bus) == before
    told = await listener.next(2)
    assert told is not None
    assert told.subject == subjects.forget("public")
    forgotten = codec.decode(told.payload, VoiceForgotten)
    assert (forgotten.tenant, forgotten.voice) == ("public", made.voice)
    assert await library.find("public", "Anna") is None
    assert not await library.delete("public", made.voice)
    with pytest.raises(UnknownVoice):
        await library.clip("public", made.voice, made.clips[0])
    await library.create(draft(), [FIRST])
    await listener.close()


async def test_a_failed_creation_leaves_nothing_behind(bus: Bus) -> None:
    before = await everything(bus)
    with pytest.raises(TenantVoicesFull):
        await VoiceLibrary(bus, VoiceLimits(clip_bytes=5)).create(draft(), [FIRST])
    assert await everything(bus) == before


async def test_a_tenant_keeps_as_many_voices_as_it_may(bus: Bus) -> None:
    library = VoiceLibrary(bus, VoiceLimits(voices=2))
    await library.create(draft("Anna"), [FIRST])
    await library.create(draft("Bert"), [FIRST])
    with pytest.raises(TenantVoicesFull, match="3 of 2"):
        await library.create(draft("Carl"), [FIRST])
    await library.create(draft("Carl", tenant="other"), [FIRST])
    bert = await library.require("public", "Bert")
    await library.delete("public", bert.voice)
    await library.create(draft("Carl"), [FIRST])


async def test_edges_that_remember_their_counts_see_what_others_create_and_delete(bus: Bus) -> None:
    here, there = (VoiceLibrary(bus, VoiceLimits(voices=6)) for _ in range(2))
    await here.create(draft("0"), [FIRST])
    await there.create(draft("1"), [FIRST])
    await here.create(draft("2"), [FIRST])
    three = await there.create(draft("3"), [FIRST])
    await here.replace_clips("public", three.voice, [SECOND])  # counted twice until keys are listed
    await there.create(draft("4"), [FIRST])
    await here.create(draft("5"), [FIRST])
    for library in (here, there):
        with pytest.raises(TenantVoicesFull, match="7 of 6"):
            await library.create(draft("6"), [FIRST])
    await there.delete("public", three.voice)
    await here.create(draft("6"), [FIRST])
    with pytest.raises(TenantVoicesFull, match="7 of 6"):
        await there.create(draft("7"), [FIRST])


async def test_of_creations_at_once_no_more_succeed_than_a_tenant_may_keep(bus: Bus) -> None:
    libraries = [VoiceLibrary(bus, VoiceLimits(voices=5)) for _ in range(2)]
    for library in libraries:
        await library.delete("public", (await library.create(draft(), [FIRST])).voice)
    results = await asyncio.gather(
        *(libraries[n % 2].create(draft(f"{n}"), [FIRST]) for n in range(20)),
        return_exceptions=True,
    )
    assert all(isinstance(result, Voice | TenantVoicesFull) for result in results)
    assert await libraries[0].count("public") <= 5
    room = 5 - await libraries[0].count("public")
    for number in range(room):
        await libraries[1].create(draft(f"later {number}"), [FIRST])
    with pytest.raises(TenantVoicesFull, match="6 of 5"):
        await libraries[0].create(draft("too many"), [FIRST])


async def test_a_count_reads_only_what_was_written_since_the_last_one(bus: Bus) -> None:
    listed: list[str] = []

    counted = bus.count_by_subject

    async def counting(stream: str, subject_filter: str) -> dict[str, int]:
        listed.append(subject_filter)
        return await counted(stream, subject_filter)

    bus.count_by_subject = counting  # type: ignore[method-assign]
    library = VoiceLibrary(bus)
    for number in range(5):
        await library.create(draft(f"{number}"), [FIRST])
    assert len([each for each in listed if ".size." in each]) == 1


async def test_a_voice_is_renamed_and_its_old_name_is_free(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    anna = await library.create(draft("Anna"), [FIRST])
    await library.create(draft("Bert"), [FIRST])

    def renamed_to(name: str) -> Voice:
        return msgspec.structs.replace(anna, name=name)

    with pytest.raises(VoiceNameTaken):
        await library.change("public", anna.voice, lambda _: renamed_to("BERT"))
    changed = await library.change("public", anna.voice, lambda _: renamed_to("Anne"))
    assert (changed.voice, changed.revision, changed.name) == (anna.voice, 1, "Anne")
    assert await library.find("public", "Anna") is None
    assert await library.find("public", "Anne") == changed
    await library.create(draft("Anna"), [FIRST])
    with pytest.raises(UnknownVoice):
        await library.change("other", anna.voice, lambda now: now)


async def test_replaced_clips_make_a_new_revision_and_erase_the_old_one(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    made = await library.create(draft(), [FIRST])
    old = library_voice_key("public", made.voice, 1, "tone.1")
    await bus.put_value(topology.VOICES, old, b"computed")
    replaced = await library.replace_clips("public", made.voice, [SECOND])
    assert (replaced.revision, replaced.leftovers) == (2, ())
    assert await library.clips(replaced) == [SECOND]
    assert await bus.get_value(topology.VOICES, old) is None
    with pytest.raises(UnknownVoice):
        await library.clip("public", made.voice, made.clips[0])
    assert not await library.exists("public", made.voice, 1)
    assert await library.exists("public", made.voice, 2)


async def test_of_replacements_at_once_one_succeeds_and_the_others_are_refused(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    before = await everything(bus)
    made = await library.create(draft(), [FIRST])
    results = await asyncio.gather(
        *(library.replace_clips("public", made.voice, [bytes([n]) * 100]) for n in range(4)),
        return_exceptions=True,
    )
    done = [result for result in results if isinstance(result, Voice)]
    refused = [result for result in results if isinstance(result, VoiceBusy)]
    assert (len(done) >= 1, len(done) + len(refused)) == (True, 4)
    now = await library.require("public", made.voice)
    assert now.revision == 1 + len(done)
    assert await library.clips(now) in [[bytes([n]) * 100] for n in range(4)]
    await library.delete("public", made.voice)
    assert await everything(bus) == before


async def test_a_failed_replacement_leaves_the_voice_as_it_was(bus: Bus) -> None:
    library = VoiceLibrary(bus, VoiceLimits(clip_bytes=30))
    made = await library.create(draft(), [FIRST])
    before = await everything(bus)
    with pytest.raises(TenantVoicesFull):
        await library.replace_clips("public", made.voice, [b"longer than the limit " * 10])
    assert await everything(bus) == before
    now = await library.require("public", made.voice)
    assert (now.revision, now.clips, now.leftovers) == (1, made.clips, ())
    await library.replace_clips("public", made.voice, [SECOND])


async def test_a_voice_that_is_deleted_while_its_clips_are_replaced_leaves_nothing_behind(
    bus: Bus,
) -> None:
    library = VoiceLibrary(bus)
    before = await everything(bus)
    for _ in range(10):
        made = await library.create(draft(), [FIRST])
        results = await asyncio.gather(
            library.replace_clips("public", made.voice, [SECOND]),
            library.delete("public", made.voice),
            return_exceptions=True,
        )
        assert results[1] is True
        assert isinstance(results[0], Voice | UnknownVoice)
        assert await everything(bus) == before


async def test_a_list_is_read_page_by_page_and_filtered(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    names = [f"voice {number:02}" for number in range(25)]
    for name in names:
        await library.create(draft(name), [FIRST])
    await library.create(draft("of another tenant", tenant="other"), [FIRST])
    seen: list[str] = []
    after = None
    while True:
        page = await library.page("public", limit=10, after=after)
        seen += [voice.name for voice in page.voices]
        after = page.next
        if after is None:
            break
    assert sorted(seen) == names
    filtered = await library.page("public", limit=10, where=lambda voice: voice.name.endswith("7"))
    assert sorted(voice.name for voice in filtered.voices) == ["voice 07", "voice 17"]


async def test_a_crash_in_the_middle_of_a_creation_is_cleaned_up(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    before = await everything(bus)
    made = await library.create(draft(), [FIRST])
    long_ago_ms = round((time.time() - 3600) * 1000)
    crashed = msgspec.structs.replace(made, state="creating", changed_unix_ms=long_ago_ms)
    key = library_key("public", made.voice)
    await bus.put_value(topology.LIBRARY, key, codec.encode(crashed))
    assert await library.find("public", "Anna") is None
    assert [voice.voice for voice in await library.sweep("public")] == [made.voice]
    assert await everything(bus) == before


async def test_a_crash_in_the_middle_of_a_replacement_is_cleaned_up(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    made = await library.create(draft(), [FIRST])
    orphan = voice_clip_object("public", made.voice, "ef" * 32)
    await bus.put_object(topology.VOICE_CLIPS, orphan, SECOND)
    long_ago_ms = round((time.time() - 3600) * 1000)
    crashed = msgspec.structs.replace(made, leftovers=("ef" * 32,), changed_unix_ms=long_ago_ms)
    key = library_key("public", made.voice)
    await bus.put_value(topology.LIBRARY, key, codec.encode(crashed))
    assert await library.sweep("public") == []
    assert not await bus.has_object(topology.VOICE_CLIPS, orphan)
    now = await library.require("public", "Anna")
    assert await library.clips(now) == [FIRST]


async def test_a_claim_that_a_crash_left_is_taken_over(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    made = await library.create(draft(), [FIRST])
    await bus.drop_value(topology.LIBRARY, library_key("public", made.voice))
    with pytest.raises(VoiceNameTaken):  # it may be about to be created
        await library.create(draft(), [FIRST])
    [claim] = await bus.count_by_subject(
        f"KV_{topology.LIBRARY}", topology.value_subject(topology.LIBRARY, "name.public.*")
    )
    key = claim.removeprefix(topology.value_subject(topology.LIBRARY, ""))
    await bus.put_value(topology.LIBRARY, key, voice_id(1_000_000, 7).encode())
    await library.create(draft(), [FIRST])


async def test_voices_that_were_not_changed_for_long_can_be_erased(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    made = await library.create(draft(), [FIRST])
    now_s = time.time()
    assert await library.sweep("public", changed_before_unix_s=now_s - 60) == []
    erased = await library.sweep("public", changed_before_unix_s=now_s + 60)
    assert [voice.voice for voice in erased] == [made.voice]


async def test_a_request_names_own_shared_and_built_in_voices(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    resolver = VoiceResolver(library)
    own = await library.create(draft("Anna"), [FIRST])
    shared = await library.create(draft("House", tenant=SHARED_TENANT), [FIRST])
    await library.create(draft("Secret", tenant="other"), [FIRST])

    async def resolved(given: str) -> str:
        return (await resolver.resolve("public", given, [WORKER])).reference

    assert await resolved("anna") == await resolved(own.voice) == f"{own.voice}@1"
    assert await resolved(f"{own.voice}@1") == f"{own.voice}@1"
    assert await resolved("House") == await resolved(shared.voice) == f"shared:{shared.voice}@1"
    assert await resolved("heart") == await resolved("builtin:Heart") == "builtin:Heart"
    for missing in ("Secret", f"{own.voice}@2", "builtin:Secret", "shared:Anna", "@", "a/b"):
        with pytest.raises(UnknownVoice):
            await resolved(missing)
    with pytest.raises(UnknownVoice, match="nearest names are Anna"):
        await resolved("Anja")
    assert default_voice("en", [WORKER]) == "builtin:Heart"
    assert default_voice("fr", [WORKER]) is None


async def test_defaults_of_a_voice_come_with_it(bus: Bus) -> None:
    library = VoiceLibrary(bus)
    fast = msgspec.structs.replace(draft(), parameters=Parameters(speed=1.5))
    await library.create(fast, [FIRST])
    chosen = await VoiceResolver(library).resolve("public", "Anna", [WORKER])
    assert chosen.parameters == Parameters(speed=1.5)
