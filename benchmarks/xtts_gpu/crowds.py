"""Step 4: whether a sentence gets the same codes alone and among others."""

from benchmarks.xtts_gpu.bench import Bench, Spoken, speak_all, voice_of
from benchmarks.xtts_gpu.findings import Findings
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.xtts.decoder.linear import Precision

_PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
_FOLLOWED = 16  # sentences that are spoken alone as well


def examine(bench: Bench, findings: Findings) -> None:
    """Speak the first sentences alone, and the same ones in crowds, in both precisions."""
    for precision in _PRECISIONS:
        crowds = bench.sizes.crowds
        engine = bench.engine(precision, slots=max(crowds))
        voice = voice_of(engine)
        utterances = [
            Utterance(text, "en", seed) for seed, text in enumerate(bench.texts(max(crowds)))
        ]
        followed = utterances[: min(_FOLLOWED, crowds[0])]
        alone = speak_all(bench, engine, voice, followed, 1)
        for crowd in crowds:
            among = speak_all(bench, engine, voice, utterances[:crowd], crowd)
            _compare(bench, findings, f"{precision}, among {crowd}", alone, among)
        engine.close()


def _compare(bench: Bench, findings: Findings, name: str, alone: Spoken, among: Spoken) -> None:
    same = sum(one == other for one, other in zip(alone.codes, among.codes, strict=False)) / len(
        alone.codes
    )
    findings.figures[f"{name}: share of sentences with the codes of one alone"] = same
    if not bench.on_gpu:  # promised on a CPU only
        findings.check(f"{name}: the codes are those of a sentence alone", same == 1, same)
