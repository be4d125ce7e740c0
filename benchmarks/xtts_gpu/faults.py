"""Step 8: what happens when the GPU or its memory fails, and when all slots are taken."""

import torch

from benchmarks.xtts_gpu.bench import Bench, CountingEngine, speak_all, voice_of
from benchmarks.xtts_gpu.findings import Findings
from services.common.wire.failures import EngineUnavailable
from services.synth_worker.engines.protocol import EngineBroken, Utterance
from services.synth_worker.engines.xtts.engine import XttsSettings
from services.synth_worker.engines.xtts.weights.location import WeightSettings

_FEW = 2
_TOO_MANY_SLOTS = 4096


def examine(bench: Bench, findings: Findings) -> None:
    """Provoke each failure; the assert on the device comes last, as it breaks the context."""
    _full_slots(bench, findings)
    if not bench.on_gpu:
        findings.skip("a second GPU, too little memory, a failed assert", "the device is a CPU")
        return
    _second_gpu(bench, findings)
    _too_little_memory(bench, findings)
    _device_assert(bench, findings)


def _full_slots(bench: Bench, findings: Findings) -> None:
    """Cancel a sentence when all slots are taken: the next one takes its slot."""
    engine = bench.engine(slots=_FEW, folder=bench.tiny)
    voice = voice_of(engine)
    texts = bench.texts(_FEW + 1)
    open_ones = [engine.open(Utterance(text, "en", 1), voice) for text in texts[:_FEW]]
    engine.step(open_ones)
    engine.discard(open_ones[0])
    spoken = speak_all(bench, engine, voice, [Utterance(texts[_FEW], "en", 2)], 1)
    findings.check("a cancelled sentence makes room for the next", bool(spoken.codes[0]))
    engine.discard(open_ones[1])
    engine.discard(open_ones[1])  # has no effect
    after = speak_all(bench, engine, voice, [Utterance(text, "en", 3) for text in texts], _FEW)
    findings.check("all slots are usable afterwards", after.failed == 0 and all(after.codes))


def _second_gpu(bench: Bench, findings: Findings) -> None:
    if torch.cuda.device_count() < _FEW:
        findings.skip("a second GPU", "there is one")
        return
    weights = WeightSettings(model_dir=bench.tiny, agreed=True)
    engine = CountingEngine(XttsSettings(weights, device="cuda:1", max_batch=_FEW))
    engine.load()
    spoken = speak_all(bench, engine, voice_of(engine), [Utterance("It is so.", "en", 1)], 1)
    findings.check("cuda:1 speaks", bool(spoken.codes[0]) and torch.cuda.memory_allocated(1) > 0)
    engine.close()
    torch.cuda.set_device(bench.device if ":" in bench.device else 0)


def _too_little_memory(bench: Bench, findings: Findings) -> None:
    """Ask for more slots than any GPU has memory for."""
    try:
        bench.engine("float32", slots=_TOO_MANY_SLOTS)
    except EngineUnavailable as error:
        findings.check(
            "too little memory is an error with advice", "WORKER_SLOTS" in str(error), error
        )
    else:
        findings.skip("too little memory", f"this GPU has room for {_TOO_MANY_SLOTS} slots")
    torch.cuda.empty_cache()


def _device_assert(bench: Bench, findings: Findings) -> None:
    """Feed the decoder a code that does not exist."""
    engine = bench.engine(slots=_FEW, folder=bench.tiny)
    sentence = engine.open(Utterance("It is so.", "en", 1), voice_of(engine))
    engine.step([sentence])
    sentence.decoding.codes[-1] = 10**6
    try:
        for _ in range(3):
            engine.step([sentence])
        bench.wait()
    except EngineBroken as error:
        findings.check(
            "a failed assert on the device ends the engine process", holds=True, found=error
        )
    except RuntimeError as error:
        findings.check(
            "a failed assert on the device ends the engine process", holds=False, found=error
        )
    else:
        findings.check("a failed assert on the device is noticed", holds=False)
