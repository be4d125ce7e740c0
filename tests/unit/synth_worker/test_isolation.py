"""The engine's process dies, hangs or cannot begin, and only whoever is to blame feels it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from services.common.audio.clip import Clip
from services.common.wire.failures import (
    EngineCrashed,
    EngineUnavailable,
    SpeechCancelled,
    SynthesisFailed,
    UnspeakableText,
    UnusableReference,
)
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.tone import SAMPLES_PER_CHARACTER, watermark
from services.synth_worker.isolation import supervisor
from services.synth_worker.isolation.in_flight import InFlightSentence, Voice
from services.synth_worker.isolation.supervisor import EngineSupervisor
from services.synth_worker.ports import EngineStuck
from services.synth_worker.settings import Settings

SETTINGS = Settings(engine="tone", tone_real_time_factor=0.05, tone_crash_word="boom", tone_hang_word="stall")
TEXT = "This sentence is long enough for some steps of the engine, and a few more of them."


@pytest.fixture
async def model() -> AsyncIterator[EngineSupervisor]:
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    await model.load()
    yield model
    await model.close()


@pytest.fixture
async def voice(model: EngineSupervisor) -> Voice:
    noise = np.random.default_rng(1).normal(0, 0.1, 48_000).astype(np.float32)
    return await model.restore(await model.condition([Clip(noise, 24_000)]))


def speak(model: EngineSupervisor, voice: Voice, seed: int, text: str = TEXT) -> InFlightSentence:
    return model.speak(Utterance(text, "en", seed), voice, urgent=False)


async def sound(speech: InFlightSentence) -> bytes:
    return b"".join([samples.tobytes() async for samples in speech.pieces()])


def owed(seed: int, text: str = TEXT) -> bytes:
    return watermark(seed, 0, len(text) * SAMPLES_PER_CHARACTER).tobytes()


def child(model: EngineSupervisor) -> int:
    """Return the process id of the engine."""
    assert model._process is not None
    return model._process.pid


async def kill_in_work(model: EngineSupervisor, number: signal.Signals) -> None:
    """Send the engine a signal while it works on something, and see another one follow it."""
    async with asyncio.timeout(30):
        while not model._batch.read():
            await asyncio.sleep(0.001)
        os.kill(killed := child(model), number)
        while child(model) == killed:
            await asyncio.sleep(0.001)


async def test_sentences_sound_as_they_do_in_process(model: EngineSupervisor, voice: Voice) -> None:
    sounds = await asyncio.gather(*(sound(speak(model, voice, seed)) for seed in range(5)))
    assert sounds == [owed(seed) for seed in range(5)]
    assert model.describe().name == "tone"


async def test_what_the_engine_refuses_reaches_the_one_who_asked(model: EngineSupervisor, voice: Voice) -> None:
    with pytest.raises(UnspeakableText):
        await sound(speak(model, voice, 1, "..."))
    with pytest.raises(UnusableReference, match="send 6-30 s"):
        await model.condition([Clip(np.zeros(100, dtype=np.float32), 24_000)])


async def test_a_killed_engine_is_followed_by_another_that_goes_on_in_the_middle_of_the_sentence(
    model: EngineSupervisor, voice: Voice
) -> None:
    speech = speak(model, voice, 1)
    pieces = speech.pieces()
    heard = [await anext(pieces), await anext(pieces)]
    other = asyncio.create_task(sound(speak(model, voice, 2)))
    await asyncio.sleep(0.02)
    os.kill(child(model), signal.SIGKILL)
    heard += [samples async for samples in pieces]
    assert b"".join(samples.tobytes() for samples in heard) == owed(1)
    assert await other == owed(2)
    assert model.crashes >= 1


async def test_a_sentence_that_kills_the_engine_fails_alone_and_soon(model: EngineSupervisor, voice: Voice) -> None:
    crowd = [asyncio.create_task(sound(speak(model, voice, seed))) for seed in range(3)]
    async with asyncio.timeout(15):
        with pytest.raises(EngineCrashed, match="makes the engine crash"):
            await sound(speak(model, voice, 9, f"{TEXT} boom"))
        assert await asyncio.gather(*crowd) == [owed(seed) for seed in range(3)]
        assert await sound(speak(model, voice, 4)) == owed(4)
    assert model.crashes in {1, 2}, "at most once in company, once alone"
    assert not model.stuck.is_set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
async def test_a_sentence_that_was_alone_when_the_engine_was_killed_is_spoken_once_more_and_not_twice(
    model: EngineSupervisor, voice: Voice, number: signal.Signals
) -> None:
    text = TEXT * 50  # more than is spoken before the second kill, also on a machine that does more
    speech = speak(model, voice, 1, text)
    pieces = speech.pieces()
    heard = [await anext(pieces)]
    await kill_in_work(model, number)
    await kill_in_work(model, number)  # the next process, which begins anew and leaves out what was heard
    with pytest.raises(EngineCrashed):
        async for piece in pieces:
            heard.append(piece)  # noqa: PERF401  # a comprehension would lose what was heard before it raised
    assert model.crashes == 2
    assert owed(1, text).startswith(b"".join(piece.tobytes() for piece in heard))
    assert await sound(speak(model, voice, 2)) == owed(2)


@pytest.fixture
def killed_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let an engine's process be killed at its start as often as there are lines in this file."""
    deaths, program = tmp_path / "deaths", tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\nif [ -s {deaths} ]; then sed -i 1d {deaths}; kill -9 $$; fi\nexec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(supervisor.sys, "executable", str(program))
    return deaths


async def test_an_engine_that_is_killed_before_it_has_begun_is_followed_by_another(killed_at_first: Path) -> None:
    killed_at_first.write_text("once\ntwice\n")
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    await model.load()
    assert await sound(speak(model, await model.restore(b"voice"), 1)) == owed(1)
    await model.close()


async def test_an_engine_that_is_killed_again_and_again_before_it_has_begun_is_given_up(killed_at_first: Path) -> None:
    killed_at_first.write_text("killed\n" * 10)
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    with pytest.raises(EngineStuck, match="before it has begun"):
        await model.load()
    await model.close()
    assert len(killed_at_first.read_text("ascii").splitlines()) == 7


async def test_a_model_that_is_killed_while_it_loads_is_loaded_by_the_next_engine() -> None:
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    loading = asyncio.create_task(model.load())
    async with asyncio.timeout(20):
        while not model._calls:
            await asyncio.sleep(0)
    os.kill(child(model), signal.SIGKILL)
    await loading
    assert await sound(speak(model, await model.restore(b"voice"), 1)) == owed(1)
    await model.close()


async def test_a_sentence_that_hangs_the_engine_fails_and_the_others_are_spoken(
    model: EngineSupervisor, voice: Voice
) -> None:
    async with asyncio.timeout(40):
        hung = asyncio.create_task(sound(speak(model, voice, 9, f"{TEXT} stall")))
        other = asyncio.create_task(sound(speak(model, voice, 1)))
        with pytest.raises(EngineCrashed):
            await hung
        assert await other == owed(1)


async def test_a_cancelled_sentence_ends_and_counts_what_was_spent_on_it_in_vain(
    model: EngineSupervisor, voice: Voice
) -> None:
    speech = speak(model, voice, 1, TEXT * 2)
    pieces = speech.pieces()
    await anext(pieces)
    speech.cancel()
    with pytest.raises(SpeechCancelled):
        while True:
            await anext(pieces)
    assert 0 <= speech.orphaned_s <= speech.busy_s
    assert speech.busy_s > 0


async def test_closing_fails_what_is_in_flight_and_ends_the_process() -> None:
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    await model.load()
    voice = await model.restore(b"voice")
    speaking = asyncio.create_task(sound(speak(model, voice, 1, TEXT * 3)))
    await asyncio.sleep(0.1)
    await model.close()
    with pytest.raises(SynthesisFailed, match="the worker stops") as failure:
        await speaking
    assert failure.value.retryable, "another worker speaks it"
    assert model._process is not None
    assert model._process.returncode is not None


async def test_an_engine_that_cannot_be_loaded_says_why() -> None:
    model = EngineSupervisor(Settings(engine="xtts"), step_timeout_s=20)
    with pytest.raises(EngineUnavailable, match="COQUI_TOS_AGREED=1"):
        await model.load()
    await model.close()


async def test_a_voice_that_nobody_holds_any_more_is_forgotten_by_the_engine(model: EngineSupervisor) -> None:
    kept = await model.restore(b"kept")
    for number in range(5):
        await model.restore(b"dropped %d" % number)
    assert set(model._voices) == {kept.number}


async def test_the_engine_ends_with_its_worker_even_in_the_middle_of_a_step(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(
        "import asyncio\n"
        "from services.synth_worker.engines.protocol import Utterance\n"
        "from services.synth_worker.isolation.supervisor import EngineSupervisor\n"
        "from services.synth_worker.settings import Settings\n"
        "async def main():\n"
        "    model = EngineSupervisor(Settings(engine='tone', tone_hang_word='stall'), step_timeout_s=60)\n"
        "    await model.load()\n"
        "    speech = model.speak(Utterance('a stall of some length', 'en', 1),"
        " await model.restore(b''), urgent=True)\n"
        "    pieces = speech.pieces()\n"
        "    await anext(pieces)\n"
        "    print(model._process.pid, flush=True)\n"
        "    await anext(pieces)\n"
        "asyncio.run(main())\n"
    )
    worker = await asyncio.create_subprocess_exec(
        sys.executable, script, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(Path.cwd())}
    )
    assert worker.stdout is not None
    engine = int(await asyncio.wait_for(worker.stdout.readline(), 20))
    assert Path(f"/proc/{engine}").exists()
    worker.kill()
    await worker.wait()
    async with asyncio.timeout(5):
        while _alive(engine):
            await asyncio.sleep(0.05)


def _alive(process: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
