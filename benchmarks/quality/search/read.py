"""Reads sentences with chosen symbols: `python -m benchmarks.quality.search.read PLAN.json`.

Runs in the product's virtualenv. PLAN.json holds `cache`, `lines` (language, text, voice "high" or "low", choice) and
`answer`, the file to write: for each line the path of its WAV and the IPA of each of its words.
"""

import hashlib
import json
import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.quality.stock import StockVoices
from services.common.audio.clip import Samples
from services.synth_worker.engines.embedded.g2p.espeak.client import Espeak
from services.synth_worker.engines.embedded.g2p.espeak.ipa import kokoro_symbols
from services.synth_worker.engines.embedded.g2p.punctuation import clauses
from services.synth_worker.engines.embedded.g2p.reading import word_pieces
from services.synth_worker.engines.embedded.g2p.vocabulary import known

_RATE_HZ = 24_000


def main(plan_path: Path) -> None:
    """Read the lines that are not in the cache yet, and answer where all of them are."""
    plan = json.loads(plan_path.read_text(encoding="utf-8"))
    folder = Path(plan["cache"]) / "searched"
    folder.mkdir(parents=True, exist_ok=True)
    voices = StockVoices(Path(plan["cache"]) / "engine", threads=1)
    espeak = Espeak()
    espeak.start()
    answer = []
    for line in plan["lines"]:
        phonemes, words = _reading(espeak, line["text"], line["language"], line["choice"])
        named = hashlib.sha256(f"{line['language']} {line['voice']} {phonemes}".encode())
        path = folder / f"{line['language']}-{named.hexdigest()[:20]}.wav"
        if not path.exists():
            _write(path, voices.speak(phonemes, line["language"], line["voice"]))
        answer.append({"path": str(path), "words": words})
    espeak.close()
    Path(plan["answer"]).write_text(json.dumps(answer), encoding="utf-8")


def _reading(
    espeak: Espeak, text: str, language: str, choice: dict[str, str]
) -> tuple[str, list[tuple[str, str]]]:
    """Return the phonemes of a text, and its words with their IPA."""
    spoken = ""
    words: list[tuple[str, str]] = []

    def ipa_of(texts: Sequence[str]) -> list[str]:
        return [" ".join(found) for found in espeak.clauses(language, texts)]

    for clause in clauses(text):
        if not clause.words.strip():
            continue
        [ipa] = ipa_of([clause.words])
        spoken += kokoro_symbols(ipa, language, choice).strip() + clause.mark
        words += [
            (clause.words[slice(*piece.span)], piece.phonemes)
            for piece in word_pieces(clause.words, ipa, ipa_of)
            if piece.span is not None
        ]
    return known(spoken), words


def _write(path: Path, samples: Samples) -> None:
    partial = path.with_suffix(".part")
    with wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    partial.rename(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
