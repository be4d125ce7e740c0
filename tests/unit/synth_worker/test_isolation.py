"""The engine process crashes, hangs or cannot start, and only the sentence that caused it fails."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest

from services.common.audio.clip import Clip
from services.common.wire.failures import (
    EngineCrashed,
    EngineUnavailable,
    SpeechCancelled,
    SynthesisFailed,
    UnknownVoice,
    UnspeakableText,
    UnusableReference,
)
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.tone import SAMPLES_PER_CHARACTER, voice_of, watermark
from services.synth_worker.isolation.in_flight import InFlightSentence, RemoteVoice
from services.synth_worker.isolation.supervisor import EngineSupervisor
from services.synth_worker.ports import AttemptLost, EngineStuck
from services.synth_worker.settings import Settings

SETTINGS = Settings(
    engine="tone", tone_real_time_factor=0.05, tone_crash_word="boom", tone_hang_word="stall"
)
TEXT = "This sentence is long enough for some steps of the engine, and a few more of them."


@pytest.fixture
async def model() -> AsyncIterator[EngineSupervisor]:
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    await model.load()
    yield model
    await model.close()


@pytest.fixture
async def voice(model: EngineSupervisor) -> RemoteVoice:
    noise = np.random.default_rng(1).normal(0, 0.1, 48_000).astype(np.float32)
    return await model.restore(await model.condition([Clip(noise, 24_000)]))


def speak(
    model: EngineSupervisor, voice: RemoteVoice, seed: int, text: str = TEXT
) -> InFlightSentence:
    return model.speak(Utterance(text, "en", seed), voice, urgent=False)


async def audio(sentence: InFlightSentence) -> bytes:
    return b"".join([samples.tobytes() async for samples in sentence.stream()])


def expected(seed: int, text: str = TEXT) -> bytes:
    return watermark(seed, 0, len(text) * SAMPLES_PER_CHARACTER).tobytes()


def process_id(model: EngineSupervisor) -> int:
    """Return the process id of the engine process."""
    assert model._process is not None
    return model._process.pid


async def kill_in_step(model: EngineSupervisor, number: signal.Signals) -> None:
    """Send the engine process a signal in the middle of a step, and wait for its replacement."""
    async with asyncio.timeout(300):
        while not model._crash_record.read():
            await asyncio.sleep(0.001)
        os.kill(killed := process_id(model), number)
        while process_id(model) == killed:
            await asyncio.sleep(0.001)


async def test_a_begun_sentence_of_an_engine_with_varying_samples_is_not_continued_after_a_crash(
    model: EngineSupervisor, voice: RemoteVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = speak(model, voice, 1).stream()
    await anext(stream)
    monkeypatch.setattr(model, "_is_reproducible", lambda: False)
    await kill_in_step(model, signal.SIGKILL)
    with pytest.raises(AttemptLost):
        async for _ in stream:
            pass
    assert await audio(speak(model, voice, 2)) == expected(2)


async def test_sentences_are_the_same_as_on_the_engine_thread(
    model: EngineSupervisor, voice: RemoteVoice
) -> None:
    results = await asyncio.gather(*(audio(speak(model, voice, seed)) for seed in range(5)))
    assert results == [expected(seed) for seed in range(5)]
    assert model.describe().name == "tone"


async def test_an_error_of_the_engine_reaches_the_caller(
    model: EngineSupervisor, voice: RemoteVoice
) -> None:
    with pytest.raises(UnspeakableText):
        await audio(speak(model, voice, 1, "..."))
    with pytest.raises(UnusableReference, match="send 6-30 s"):
        await model.condition([Clip(np.zeros(100, dtype=np.float32), 24_000)])


async def test_built_in_voices_of_the_engine_process_are_described_and_speak(
    model: EngineSupervisor,
) -> None:
    description = model.describe()
    assert [voice.name for voice in description.voices] == ["low", "high"]
    assert description.default_voices["fr"] == "low"
    voice = await model.restore(await model.built_in("high"))
    assert await audio(speak(model, voice, 3)) == expected(3)
    with pytest.raises(UnknownVoice, match="GET /voices"):
        await model.built_in("missing")


async def test_after_a_kill_another_engine_process_continues_in_the_middle_of_the_sentence(
    model: EngineSupervisor, voice: RemoteVoice
) -> None:
    sentence = speak(model, voice, 1)
    stream = sentence.stream()
    received = [await anext(stream), await anext(stream)]
    other = asyncio.create_task(audio(speak(model, voice, 2)))
    await asyncio.sleep(0.02)
    os.kill(process_id(model), signal.SIGKILL)
    received += [samples async for samples in stream]
    assert b"".join(samples.tobytes() for samples in received) == expected(1)
    assert await other == expected(2)
    assert model.crashes >= 1


async def test_a_sentence_that_crashes_the_engine_is_the_only_one_that_fails(
    model: EngineSupervisor, voice: RemoteVoice
) -> None:
    others = [asyncio.create_task(audio(speak(model, voice, seed))) for seed in range(3)]
    async with asyncio.timeout(300):
        with pytest.raises(EngineCrashed, match="makes the engine crash"):
            await audio(speak(model, voice, 9, f"{TEXT} boom"))
        assert await asyncio.gather(*others) == [expected(seed) for seed in range(3)]
        assert await audio(speak(model, voice, 4)) == expected(4)
    assert model.crashes in {1, 2}, "at most once in a shared step, and once alone"
    assert not model.stuck.is_set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
async def test_a_sentence_that_was_alone_when_the_engine_was_killed_is_tried_once_more_and_then_fails(
    model: EngineSupervisor, voice: RemoteVoice, number: signal.Signals
) -> None:
    # longer than what is synthesized before the second kill, even on a fast machine
    text = TEXT * 50
    sentence = speak(model, voice, 1, text)
    stream = sentence.stream()
    received = [await anext(stream)]
    await kill_in_step(model, number)
    # the next process, which starts over and skips what was received
    await kill_in_step(model, number)
    with pytest.raises(EngineCrashed):
        async for samples in stream:
            received.append(samples)  # noqa: PERF401  # a comprehension would lose the items before the exception
    assert model.crashes == 2
    assert expected(1, text).startswith(b"".join(samples.tobytes() for samples in received))
    assert await audio(speak(model, voice, 2)) == expected(2)


@pytest.fixture
def kills_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file; an engine process is killed at its start once for every line in it."""
    kills, program = tmp_path / "kills", tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\nif [ -s {kills} ]; then sed -i 1d {kills}; kill -9 $$; fi\nexec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    return kills


async def test_an_engine_process_that_is_killed_before_it_is_ready_is_replaced(
    kills_at_start: Path,
) -> None:
    kills_at_start.write_text("once\ntwice\n")
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    await model.load()
    assert await audio(speak(model, await model.restore(voice_of(b"voice")), 1)) == expected(1)
    await model.close()


async def test_loading_fails_if_the_engine_process_is_killed_again_and_again_before_it_is_ready(
    kills_at_start: Path,
) -> None:
    kills_at_start.write_text("killed\n" * 10)
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    with pytest.raises(EngineStuck, match="before it was ready"):
        await model.load()
    await model.close()
    assert len(kills_at_start.read_text("ascii").splitlines()) == 7


async def test_an_engine_process_that_is_killed_while_it_loads_is_replaced() -> None:
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    loading = asyncio.create_task(model.load())
    async with asyncio.timeout(300):
        while not model._calls:
            await asyncio.sleep(0)
    os.kill(process_id(model), signal.SIGKILL)
    await loading
    assert await audio(speak(model, await model.restore(voice_of(b"voice")), 1)) == expected(1)
    await model.close()


async def test_an_engine_that_crashes_again_and_again_without_work_is_reported_as_stuck() -> None:
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    await model.load()
    for _ in range(3):
        await model.restore(
            voice_of(b"voice")
        )  # it serves: a kill before that counts as a failed start
        os.kill(killed := process_id(model), signal.SIGKILL)
        async with asyncio.timeout(300):
            while process_id(model) == killed and not model.stuck.is_set():
                await asyncio.sleep(0.01)
    async with asyncio.timeout(300):
        await model.stuck.wait()  # the worker ends then, with the reason
    await model.close()


BROKEN_ENGINE = """
import sys
from services.synth_worker.engines.protocol import EngineBroken
from services.synth_worker.engines.tone import ToneEngine
from services.synth_worker.isolation.engine_process import main

ordinary_open, ordinary_step, bad = ToneEngine.open, ToneEngine.step, {{}}

def open(self, utterance, voice):
    sequence = ordinary_open(self, utterance, voice)
    bad[id(sequence)] = {word!r} in utterance.text
    return sequence

def step(self, batch):
    if any(bad[id(sequence)] for sequence in batch):
        raise {error}
    return ordinary_step(self, batch)

ToneEngine.open, ToneEngine.step = open, step
sys.argv[1:] = sys.argv[-2:]  # the descriptors
main()
"""


@pytest.fixture
def breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function: steps with a sentence that has this word then raise this error, in any engine process."""

    def chosen(word: str, error: str) -> None:
        script, program = tmp_path / "broken.py", tmp_path / "python"
        script.write_text(BROKEN_ENGINE.format(word=word, error=error))
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))

    return chosen


BROKEN_GPU = "EngineBroken('cuda:0 failed: CUDA error: unspecified launch failure')"


async def test_a_gpu_that_fails_again_and_again_makes_the_worker_end(
    breaks: Callable[[str, str], None],
) -> None:
    breaks("", BROKEN_GPU)
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    await model.load()
    voice = await model.restore(voice_of(b"voice"))
    speaking = [asyncio.create_task(audio(speak(model, voice, seed))) for seed in range(4)]
    async with asyncio.timeout(300):
        failures = await asyncio.gather(*speaking, return_exceptions=True)
        await model.stuck.wait()
    assert model.crashes == 4
    blamed = [failure for failure in failures if isinstance(failure, EngineCrashed)]
    assert len(blamed) <= 1, "sentences are not to blame"
    returned = [failure for failure in failures if isinstance(failure, EngineStuck)]
    assert len(returned) + len(blamed) == 4
    assert all(failure.retryable for failure in returned), "another worker gets them"
    await model.close()


async def test_a_sentence_that_breaks_the_gpu_is_blamed_and_the_worker_continues(
    breaks: Callable[[str, str], None],
) -> None:
    breaks("boom", BROKEN_GPU)
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    await model.load()
    voice = await model.restore(voice_of(b"voice"))
    others = [asyncio.create_task(audio(speak(model, voice, seed))) for seed in range(3)]
    async with asyncio.timeout(300):
        with pytest.raises(EngineCrashed):
            await audio(speak(model, voice, 9, "boom"))
        assert await asyncio.gather(*others) == [expected(seed) for seed in range(3)]
    assert not model.stuck.is_set()
    await model.close()


async def test_an_engine_whose_every_step_fails_is_replaced_and_then_the_worker_ends(
    breaks: Callable[[str, str], None],
) -> None:
    breaks("", "RuntimeError('cuDNN error: CUDNN_STATUS_INTERNAL_ERROR')")
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    await model.load()
    voice = await model.restore(voice_of(b"voice"))
    failed = 0
    async with asyncio.timeout(300):
        while not model.stuck.is_set():
            with pytest.raises(SynthesisFailed) as failure:
                await audio(speak(model, voice, failed))
            assert failure.value.retryable, "another worker gets it"
            failed += 1
    assert model.crashes == 3
    assert failed <= 9
    await model.close()


async def test_a_sentence_that_hangs_the_engine_fails_and_the_others_are_synthesized(
    model: EngineSupervisor, voice: RemoteVoice
) -> None:
    async with asyncio.timeout(300):
        hung = asyncio.create_task(audio(speak(model, voice, 9, f"{TEXT} stall")))
        other = asyncio.create_task(audio(speak(model, voice, 1)))
        with pytest.raises(EngineCrashed):
            await hung
        assert await other == expected(1)


async def test_a_cancelled_sentence_ends_and_its_orphaned_compute_is_counted(
    model: EngineSupervisor, voice: RemoteVoice
) -> None:
    sentence = speak(model, voice, 1, TEXT * 2)
    stream = sentence.stream()
    await anext(stream)
    sentence.cancel()
    with pytest.raises(SpeechCancelled):
        while True:
            await anext(stream)
    assert 0 <= sentence.orphaned_s <= sentence.busy_s
    assert sentence.busy_s > 0


async def test_closing_fails_the_sentences_in_flight_and_ends_the_process() -> None:
    model = EngineSupervisor(SETTINGS, step_timeout_s=3)
    await model.load()
    voice = await model.restore(voice_of(b"voice"))
    speaking = asyncio.create_task(audio(speak(model, voice, 1, TEXT * 3)))
    await asyncio.sleep(0.1)
    await model.close()
    with pytest.raises(SynthesisFailed, match="the worker is stopping") as failure:
        await speaking
    assert failure.value.retryable, "another worker synthesizes it"
    assert model._process is not None
    assert model._process.returncode is not None


async def test_an_engine_that_cannot_be_loaded_reports_the_reason() -> None:
    model = EngineSupervisor(Settings(engine="xtts"), step_timeout_s=20)
    with pytest.raises(EngineUnavailable, match="COQUI_TOS_AGREED=1"):
        await model.load()
    await model.close()


async def test_a_voice_that_is_no_longer_referenced_is_released_in_the_engine_process(
    model: EngineSupervisor,
) -> None:
    held = await model.restore(voice_of(b"held"))
    for number in range(5):
        await model.restore(voice_of(b"dropped %d" % number))
    assert set(model._voices) == {held.number}


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
        "    sentence = model.speak(Utterance('a stall of some length', 'en', 1),"
        " await model.restore(await model.built_in('low')), urgent=True)\n"
        "    stream = sentence.stream()\n"
        "    await anext(stream)\n"
        "    print(model._process.pid, flush=True)\n"
        "    await anext(stream)\n"
        "asyncio.run(main())\n"
    )
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        script,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert worker.stdout is not None
    engine = int(await asyncio.wait_for(worker.stdout.readline(), 20))
    assert Path(f"/proc/{engine}").exists()
    worker.kill()
    await worker.wait()
    async with asyncio.timeout(300):
        while _is_running(engine):
            await asyncio.sleep(0.05)


def _is_running(process: int) -> bool:
    """Return whether a process is running; a zombie is not."""
    try:
        return Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
