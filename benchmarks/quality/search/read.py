"""Reads sentences with chosen symbols: `python -m benchmarks.quality.search.read PLAN.json`.

Runs in the product's virtualenv. PLAN.json holds `cache`, `lines` (language, text, voice, choice), `speed` and
`answer`, the file to write: for each line the path of its WAV and the phones of each of its words. A voice is "high"
or "low", any of Kokoro's 54, or two of them (see ../stock.py). Phones are espeak-ng's IPA, or that of the language's
own reader (ko, ar).
"""

import hashlib
import json
import sys
import wave
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.quality.stock import StockVoices
from services.common.audio.clip import Samples
from services.synth_worker.engines.embedded.g2p.espeak.client import Espeak
from services.synth_worker.engines.embedded.g2p.espeak.ipa import kokoro_symbols
from services.synth_worker.engines.embedded.g2p.espeak.reader import read_words
from services.synth_worker.engines.embedded.g2p.languages.arabic import ArabicVowels
from services.synth_worker.engines.embedded.g2p.languages.arabic_phones import (
    arabic_ipa,
    symbols_of_ipa,
)
from services.synth_worker.engines.embedded.g2p.languages.korean import Korean
from services.synth_worker.engines.embedded.g2p.languages.korean import symbols as korean_symbols
from services.synth_worker.engines.embedded.g2p.punctuation import clauses
from services.synth_worker.engines.embedded.g2p.reading import word_pieces
from services.synth_worker.engines.embedded.g2p.vocabulary import known
from services.synth_worker.engines.embedded.rebuild.sources import voice_packs

_RATE_HZ = 24_000

ReadEach = Callable[[Sequence[str]], list[str]]  # texts -> phones
_ARABIC: Final = ArabicVowels()
_READERS: Final[Mapping[str, Callable[[str], str]]] = {
    "ko": Korean().ipa,
    "ar": lambda words: arabic_ipa(_ARABIC.vowelled(words)),
}


def main(plan_path: Path) -> None:
    """Read the lines that are not in the cache yet, and answer where all of them are."""
    plan = json.loads(plan_path.read_text(encoding="utf-8"))
    folder = Path(plan["cache"]) / "searched"
    folder.mkdir(parents=True, exist_ok=True)
    voices = _voices(Path(plan["cache"]), {line["voice"] for line in plan["lines"]})
    espeak = Espeak()
    espeak.start()
    speed = float(plan["speed"])
    paced = f" {speed:g}" if speed != 1 else ""
    answer = []
    for line in plan["lines"]:
        phonemes, words = _reading(espeak, line["text"], line["language"], line["choice"])
        voice = voices.name(line["language"], line["voice"])
        named = hashlib.sha256(f"{line['language']} {voice} {phonemes}{paced}".encode())
        path = folder / f"{line['language']}-{named.hexdigest()[:20]}.wav"
        if not path.exists():
            _write(path, voices.speak(phonemes, line["language"], voice, speed))
        answer.append({"path": str(path), "words": words, "voice": voice})
    espeak.close()
    Path(plan["answer"]).write_text(json.dumps(answer), encoding="utf-8")


def _voices(cache: Path, wanted: set[str]) -> StockVoices:
    """Return the voices of the engine, or all of Kokoro's where others are wanted."""
    if wanted <= {"high", "low"}:
        return StockVoices(cache / "engine", threads=2)
    folder = cache / "packs"
    folder.mkdir(exist_ok=True)
    return StockVoices(cache / "engine", threads=2, packs=voice_packs(folder))


def _reading(
    espeak: Espeak, text: str, language: str, choice: dict[str, str]
) -> tuple[str, list[tuple[str, str]]]:
    """Return the phonemes of a text, and its words with their phones."""
    spoken = ""
    words: list[tuple[str, str]] = []
    phones_of = _phones_of(espeak, language)
    for clause in clauses(text):
        if not clause.words.strip():
            continue
        [phones] = phones_of([clause.words])
        spoken += symbols_of(phones, language, choice).strip() + clause.mark
        words += [
            (clause.words[slice(*piece.span)], piece.phonemes)
            for piece in word_pieces(clause.words, phones, phones_of)
            if piece.span is not None
        ]
    return known(spoken), words


def _phones_of(espeak: Espeak, language: str) -> ReadEach:
    reader = _READERS.get(language)
    if reader is not None:
        return lambda texts: [reader(text) for text in texts]
    return lambda texts: [" ".join(read_words(espeak, text, language)) for text in texts]


def symbols_of(ipa: str, language: str, choice: Mapping[str, str]) -> str:
    """Map IPA as the engine does, with the symbols of `choice` before its tables."""
    if language == "ko":
        return korean_symbols(ipa, choice)
    if language == "ar":
        return symbols_of_ipa(ipa, choice)
    return kokoro_symbols(ipa, language, choice)


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
