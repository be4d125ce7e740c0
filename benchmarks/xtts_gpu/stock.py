"""Step 3: the same sentences by stock coqui-tts and by the engine, on the device, from the same seeds."""

import statistics
import time

import numpy as np
import torch

from benchmarks.xtts_gpu.bench import RATE_HZ, Bench, texts_by_language, voice_of
from benchmarks.xtts_gpu.findings import Findings
from benchmarks.xtts_stock import Pair, StockSpeaker, compare
from services.common.audio.clip import Clip
from services.common.audio.wav import write_wav
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.engines.xtts.engine import LoadedVoice, XttsEngine

_LATENT_ERROR = 1e-3
_SAMPLE_ERROR = 1e-3
_TIME_S = 75.0  # after which no further sentence is begun


def examine(bench: Bench, findings: Findings) -> None:
    """Compare codes, latents and samples in float32 without TF32, then bfloat16 with float32."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    begun = time.monotonic()
    engine = bench.engine("float32")
    voice = voice_of(engine)
    coarse = bench.engine("bfloat16")
    stock = StockSpeaker(bench.folder, bench.device, engine.defaults)
    texts = texts_by_language(bench.sizes, engine.describe().languages)
    pairs, same_likeliest = [], []
    for seed, (language, text) in enumerate(texts):
        if time.monotonic() - begun > _TIME_S:
            findings.skip("the other sentences", f"the time is over after {len(pairs)}")
            break
        pair = compare(stock, engine, voice, Utterance(text, language, seed))
        pairs.append(pair)
        same_likeliest.append(_likeliest(engine, coarse, voice, pair))
        _keep(bench, pair, seed)
    _judge(findings, pairs)
    findings.figures["bfloat16: same likeliest code"] = statistics.mean(same_likeliest)


def _likeliest(engine: XttsEngine, coarse: XttsEngine, voice: LoadedVoice, pair: Pair) -> float:
    """Return the share of codes at which bfloat16 finds the same code likeliest as float32."""
    fine = engine.review(pair.text, pair.language, voice, pair.codes)[1]
    other_voice = coarse.restore(voice.voice.to_bytes(""))
    rough = coarse.review(pair.text, pair.language, other_voice, pair.codes)[1]
    return float(np.mean(np.array(fine) == np.array(rough)))


def _judge(findings: Findings, pairs: list[Pair]) -> None:
    same = sum(pair.same_codes == 1 for pair in pairs)
    findings.figures |= {
        "sentences": len(pairs),
        "sentences with stock's codes": same,
        "codes in common from the beginning": statistics.mean(pair.same_codes for pair in pairs),
        "stock, real-time factor": statistics.mean(
            pair.stock_s / (len(pair.by_stock) / RATE_HZ) for pair in pairs
        ),
    }
    latents = max(pair.latent_error for pair in pairs)
    findings.check(
        "latents of stock's codes are stock's", latents < _LATENT_ERROR, f"{latents:.2g}"
    )
    samples = max(pair.sample_error for pair in pairs)
    findings.check("stock's latents sound as in stock", samples < _SAMPLE_ERROR, f"{samples:.2g}")


def _keep(bench: Bench, pair: Pair, index: int) -> None:
    """Write both waveforms, for recognisers and encoders that run on a CPU."""
    folder = bench.out / "xtts-gpu-audio"
    folder.mkdir(exist_ok=True)
    for name, samples in (("stock", pair.by_stock), ("ours", pair.by_us)):
        path = folder / f"{pair.language}-{index}-{name}.wav"
        path.write_bytes(write_wav(Clip(samples, RATE_HZ)))
