"""`python -m benchmarks.speaking_rates`: characters a second of ordinary speech, by language.

Spoken by the embedded engine's stock voice: ten sentences a language of benchmarks/quality/sentences.toml. The guard of
the XTTS engine takes them for what a sentence should last, within wide bounds.
"""

from pathlib import Path

from benchmarks.quality.plan import sentences
from benchmarks.sentence import speak
from services.synth_worker.engines.embedded.engine import EmbeddedEngine, EmbeddedSettings
from services.synth_worker.engines.protocol import Utterance

RATE_HZ = 24_000


def main() -> None:
    """Speak, and print a line a language."""
    engine = EmbeddedEngine(
        EmbeddedSettings(cache=Path.home() / ".cache" / "voice-cloning-pipeline", threads=2)
    )
    engine.load()
    voice = engine.restore(engine.stock_voice(160.0))
    for language, texts in sentences().items():
        samples = 0
        for text in texts[:10]:
            samples += len(speak(engine, voice, Utterance(text, language, 0)).samples)
        print(f"{language} {sum(map(len, texts[:10])) / (samples / RATE_HZ):.1f}", flush=True)
    engine.close()


if __name__ == "__main__":
    main()
