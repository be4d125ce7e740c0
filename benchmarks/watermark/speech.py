"""Speech of the embedded engine in all languages, synthesized once and stored."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from services.common.audio.clip import Samples
from services.common.audio.pcm import from_pcm16, to_pcm16
from services.common.audio.watermark.marking import mark

RATE_HZ: Final = 24_000
_VOICES: Final = 2  # that speak each sentence
_LINES: Final = 10  # sentences of each language in the file
_TOGETHER: Final = 10  # sentences in a recording
_SEED: Final = 20_240_601
_SENTENCES: Final = Path(__file__).parents[1] / "quality" / "sentences.toml"


def spoken(cache: Path, count: int, threads: int = 2) -> dict[str, Samples]:
    """Return `count` sentences of each language, by "turn-index-language-voice"; synthesize those that are missing."""
    folder = cache / "watermark" / "spoken"
    folder.mkdir(parents=True, exist_ok=True)
    sentences = texts()
    places = [(turn, index) for turn in range(_VOICES) for index in range(_LINES)][:count]
    missing = [
        (turn, language, index)
        for turn, index in places
        for language in sentences
        if not list(folder.glob(f"{turn}-{index:02d}-{language}-*.npy"))
    ]
    if missing:
        _speak(cache, folder, missing, threads)
    return stored(cache)


def stored(cache: Path) -> dict[str, Samples]:
    """Return the sentences that are synthesized already, float32 [n] each."""
    folder = cache / "watermark" / "spoken"
    return {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}


def texts() -> dict[str, list[str]]:
    """Return the sentences of each language."""
    return tomllib.loads(_SENTENCES.read_text(encoding="utf-8"))


def language_of(name: str) -> str:
    """Return the language of a sentence with this name."""
    return name.split("-")[2]


def streams(speech: Mapping[str, Samples]) -> list[Samples]:
    """Return marked sentences, ten at a time in a random order, with pauses of 0.1 to 0.5 s, as 16-bit samples."""
    random = np.random.default_rng(_SEED)
    names = sorted(speech)
    random.shuffle(names)
    joined: list[Samples] = []
    for start in range(0, len(names), _TOGETHER):
        parts: list[Samples] = []
        for name in names[start : start + _TOGETHER]:
            pause = np.zeros(int(random.integers(2_400, 12_000)), dtype=np.float32)
            parts += [from_pcm16(to_pcm16(mark(speech[name], RATE_HZ))), pause]
        joined.append(np.concatenate(parts))
    return joined


def _speak(cache: Path, folder: Path, missing: list[tuple[int, str, int]], threads: int) -> None:
    # the quality part reads `stored` where the engine is not installed
    from benchmarks.sentence import speak  # noqa: PLC0415
    from services.synth_worker.engines.embedded.engine import (  # noqa: PLC0415
        EmbeddedEngine,
        EmbeddedSettings,
    )
    from services.synth_worker.engines.protocol import Utterance  # noqa: PLC0415

    engine = EmbeddedEngine(EmbeddedSettings(cache=cache, threads=threads))
    engine.load()
    names = [voice.name for voice in engine.describe().voices]
    sentences = texts()
    languages = list(sentences)
    for turn, language, index in missing:
        name = names[(languages.index(language) * _LINES + index + 27 * turn) % len(names)]
        voice = engine.restore(engine.built_in(name))
        utterance = Utterance(sentences[language][index], language, _SEED)
        samples = speak(engine, voice, utterance).samples
        np.save(folder / f"{turn}-{index:02d}-{language}-{name}.npy", samples)
    engine.close()
