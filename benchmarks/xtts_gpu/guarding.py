"""Step 7: how often the guard intervenes, by kind and language."""

import statistics
from collections import Counter
from typing import Any

from benchmarks.quality.plan import sentences
from benchmarks.xtts_gpu.bench import (
    Bench,
    CountingEngine,
    Spoken,
    speak_all,
    voice_of,
)
from benchmarks.xtts_gpu.findings import Findings
from services.common.wire.estimate import characters_per_second
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.xtts.decoder.guard import CODES_PER_SECOND

_MOST_FAILED = 0.01
_WORDS = (
    "Yes.",
    "No.",
    "Thanks.",
    "Perhaps.",
    "Tomorrow.",
    "Seven.",
    "Hello!",
    "Why?",
    "Ten.",
    "Stop.",
)


def examine(bench: Bench, findings: Findings) -> None:
    """Speak sentences of all languages and texts of one word; count the faults."""
    slots = max(bench.sizes.crowds)
    engine = bench.engine(slots=slots)
    voice = voice_of(engine)
    failed = 0
    for name, utterances in (
        ("sentences", _sentences(bench, engine)),
        ("words", _one_word(bench)),
    ):
        engine.faults.clear()
        spoken = speak_all(bench, engine, voice, utterances, slots)
        findings.figures |= _counted(name, utterances, spoken, engine)
        failed += spoken.failed
    whole = bench.sizes.guarded + bench.sizes.words
    if bench.released:
        findings.check(
            f"at most {_MOST_FAILED:.0%} of the sentences fail",
            failed <= _MOST_FAILED * whole,
            failed,
        )
    else:
        findings.skip("the share of failures as a verdict", "the weights are random")


def _counted(
    name: str, utterances: list[Utterance], spoken: Spoken, engine: CountingEngine
) -> dict[str, Any]:
    expected = [
        len(one.text) / characters_per_second(one.language) * CODES_PER_SECOND for one in utterances
    ]
    ratios = [
        len(codes) / wanted for codes, wanted in zip(spoken.codes, expected, strict=True) if codes
    ]
    return {
        f"{name}: spoken": len(utterances),
        f"{name}: failed": spoken.failed,
        f"{name}: faults": dict(Counter(engine.faults)) or "none",
        f"{name}: codes of those expected": {
            "median": statistics.median(ratios),
            "least": min(ratios),
            "most": max(ratios),
        },
    }


def _sentences(bench: Bench, engine: CountingEngine) -> list[Utterance]:
    """Return sentences of all languages in turn, then English ones of all lengths."""
    languages = [one for one in sentences() if one in engine.describe().languages]
    known = [
        Utterance(text, language, 0) for language in languages for text in sentences()[language]
    ][: bench.sizes.guarded]
    more = bench.texts(bench.sizes.guarded - len(known), seed=7)
    return known + [Utterance(text, "en", seed) for seed, text in enumerate(more)]


def _one_word(bench: Bench) -> list[Utterance]:
    return [
        Utterance(_WORDS[index % len(_WORDS)], "en", index) for index in range(bench.sizes.words)
    ]
