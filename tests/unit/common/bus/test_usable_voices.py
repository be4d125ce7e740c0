"""A stored voice without recordings is refused where a request names it, unless its engine runs."""

import msgspec
import pytest

from services.common.bus.library.resolving import VoiceResolver, require_usable
from services.common.bus.library.voices import VoiceLibrary
from services.common.wire.failures import UnusableReference
from services.common.wire.messages import WorkerState
from services.common.wire.voices import ComputedVoice, Voice
from tests.support.buses import memory_bus
from tests.support.messages import EXAMPLES

[WORKER] = [message for message in EXAMPLES if isinstance(message, WorkerState)]
TONE = msgspec.structs.replace(WORKER, engine="tone")
XTTS = msgspec.structs.replace(WORKER, engine="xtts")
COMPUTED = b"computed elsewhere"


def draft(*computed: ComputedVoice) -> Voice:
    return Voice(
        voice="v_" + "0" * 20,
        tenant="acme",
        name="Anna",
        revision=1,
        state="ready",
        clips=(),
        clip_bytes=0,
        audio_s=0.0,
        created_unix_ms=0,
        changed_unix_ms=0,
        computed=computed or msgspec.UNSET,
    )


FOR_XTTS = draft(ComputedVoice(file="0" * 64, engine="xtts", model="abc"))


def test_only_workers_of_another_engine_are_a_reason_to_refuse() -> None:
    require_usable(FOR_XTTS, [])  # a job that waits for its first worker
    require_usable(FOR_XTTS, [XTTS])
    require_usable(msgspec.structs.replace(FOR_XTTS, clips=("1" * 64,)), [TONE])
    with pytest.raises(UnusableReference, match="the engine xtts, model abc; select that engine"):
        require_usable(FOR_XTTS, [TONE])


@pytest.mark.parametrize("named", ["Anna", "id", "reference"])
async def test_a_voice_is_checked_however_it_is_named(named: str) -> None:
    library = VoiceLibrary(await memory_bus())
    voice = await library.create(FOR_XTTS, [], [COMPUTED])
    given = {"id": voice.voice, "reference": voice.resolved.reference}.get(named, named)
    resolver = VoiceResolver(library)
    assert (await resolver.resolve("acme", given, [XTTS])).reference == voice.resolved.reference
    with pytest.raises(UnusableReference):
        await resolver.resolve("acme", given, [TONE])
