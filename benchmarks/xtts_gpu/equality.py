"""Step 2: the tests on the device, and steps recorded as graphs against the same steps unrecorded."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.xtts_gpu.bench import Bench
from benchmarks.xtts_gpu.findings import Findings
from services.synth_worker.engines.xtts.decoder.batch import BatchDecoder, Decoding
from services.synth_worker.engines.xtts.decoder.sampling import Sampling
from services.synth_worker.engines.xtts.text.tokenizer import TextEncoder
from services.synth_worker.engines.xtts.weights.checkpoint import load

_ROOT = Path(__file__).parents[2]
_TESTS = _ROOT / "tests" / "unit" / "synth_worker" / "engines" / "xtts"
# text ids, about as many as the codes that follow: KV caches end in the windows of 256, 512, 768 and 1,024 positions
_LENGTHS = (9, 150, 230, 330, 390)
_SMALL_LENGTHS = (9, 22, 14)
_TOLERANCE = 1e-4

Result = list[tuple[list[int], torch.Tensor]]


def examine(bench: Bench, findings: Findings) -> None:
    """Run the tests and the comparison, in float32 without TF32."""
    _run_tests(bench, findings)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    lengths = _LENGTHS if bench.on_gpu else _SMALL_LENGTHS
    on_cpu = scenario(_decoder(bench, "cpu", slots=None), lengths)
    unrecorded = scenario(_decoder(bench, bench.device, slots=4, record=False), lengths)
    _compare(
        findings, "steps of fixed shape on the device give the codes of a CPU", on_cpu, unrecorded
    )
    if not bench.on_gpu:
        findings.skip("recorded against unrecorded steps", "a CPU records nothing")
        return
    recorded = scenario(_decoder(bench, bench.device, slots=4), lengths)
    _compare(findings, "recorded steps give the codes of unrecorded ones", unrecorded, recorded)


def _run_tests(bench: Bench, findings: Findings) -> None:
    if importlib.util.find_spec("pytest") is None:
        findings.skip("the tests", "pytest is not installed; run `./task setup:dev`")
        return
    files = [
        str(_TESTS / part) if part.endswith(".py") else part for part in bench.sizes.pytest_args
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *files],
        cwd=_ROOT,
        env=os.environ | {"XTTS_TEST_DEVICE": bench.device},
        capture_output=True,
        text=True,
        timeout=90 * bench.sizes.patience,
        check=False,
    )
    last = ran.stdout.strip().splitlines()[-1:]
    findings.check(
        "the tests of the decoder, the vocoder and the engine pass", ran.returncode == 0, last
    )
    if ran.returncode:
        findings.figures["failed tests"] = [
            line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))
        ]


def _decoder(bench: Bench, device: str, *, slots: int | None, record: bool = True) -> BatchDecoder:
    texts = TextEncoder(bench.tiny / "vocab.json")
    checkpoint = load(bench.tiny, texts.start_id, texts.stop_id, texts.tokens)
    if device != "cpu":
        torch.cuda.set_device(device)
    gpt = checkpoint.on(torch.device(device)).gpt
    return BatchDecoder(gpt, "float32", slots=slots, record=record)


@torch.inference_mode()
def scenario(decoder: BatchDecoder, lengths: tuple[int, ...]) -> Result:
    """Return codes and latents of sentences that join late, wait, go back and leave."""
    drawn = torch.Generator().manual_seed(0)
    voice = decoder.voice_memory(torch.randn((1, 32, decoder.width), generator=drawn) * 0.1)
    waiting = [[20 + (7 * index + length) % 90 for index in range(length)] for length in lengths]
    underway: list[Decoding] = []
    every: list[Decoding] = []
    step = 0
    while waiting or underway:
        if waiting and len(underway) < 3:
            every.append(decoder.open(voice, waiting.pop(0), Sampling(), seed=len(every)))
            underway.append(every[-1])
        decoder.step(underway[:-1] if step % 5 == 4 and len(underway) > 1 else underway)
        if step == 8:
            decoder.go_back(underway[0], 3, seed=99)
        for sentence in [sentence for sentence in underway if sentence.stopped]:
            underway.remove(sentence)
            decoder.close(sentence)
        step += 1
    return [(sentence.codes, torch.stack(sentence.latents).cpu()) for sentence in every]


def _compare(findings: Findings, claim: str, ones: Result, others: Result) -> None:
    same = [mine[0] == theirs[0] for mine, theirs in zip(ones, others, strict=True)]
    findings.check(claim, all(same), f"{sum(same)} of {len(same)} sentences")
    worst = 0.0
    for (codes, latents), (other_codes, other) in zip(ones, others, strict=True):
        common = next(
            (
                index
                for index, (one, two) in enumerate(zip(codes, other_codes, strict=False))
                if one != two
            ),
            min(len(codes), len(other_codes)),
        )
        worst = max([worst, *(latents[:common] - other[:common]).abs().flatten().tolist()])
    findings.check(f"{claim}: latents within {_TOLERANCE}", worst < _TOLERANCE, f"{worst:.2g}")
