"""`python -m benchmarks.word_times speak|score`: how exact the word times of the embedded engine are.

`speak` synthesizes sentences with each language's default voice, and writes WAVs and the word times of the end markers.
It also compares the first word after each pause with the energy of the audio: a word cannot begin in silence. `score`
compares the beginning of every word with that of an independent recognizer, whisper-base, whose own times are multiples
of 20 ms and not exact either. It runs in the environment of the quality benchmark.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

RATE_HZ: Final = 24_000
FOLDER: Final = Path("word-times")
_FRAME: Final = 240  # samples: 10 ms
_PAUSE_S: Final = 0.06
_QUIET_DB: Final = -30.0  # under the loudest frames
SENTENCES: Final[Mapping[str, Sequence[str]]] = {
    "en": (
        "The night train reached the station almost an hour late.",
        "In 1997, Dr. Smith paid $5 for a map of the old harbour; nobody else wanted it.",
        "Would you like another cup of coffee, or shall we start the meeting?",
        "They decided to walk home, because the evening was so warm.",
    ),
    "fr": (
        "Le train de nuit est arrivé en gare avec une heure de retard.",
        "Le 14 juillet 1998, M. Dupont a payé 12 euros, mais personne ne l'a cru.",
        "Il faudrait réparer la fenêtre de la cuisine, avant que l'hiver commence.",
        "La montagne était couverte de brouillard, mais le guide connaissait le chemin.",
    ),
    "de": (
        "Der Nachtzug erreichte den Bahnhof mit einer Stunde Verspätung.",
        "Am 3. Oktober 1990 kam Dr. Müller nach Berlin, und alle warteten auf ihn.",
        "Das Museum ist montags geschlossen, aber der Garten bleibt geöffnet.",
        "Sie gingen zu Fuß nach Hause, weil der Abend so warm war.",
    ),
    "zh": (
        "夜间火车晚点了将近一个小时才到达车站。",
        "请在离开房间的时候关灯，谢谢你的合作。",
        "今天天气很好，我们去公园散步。",
        "他把地址写在旧信封的背面，然后放在桌子上。",
    ),
}


def speak() -> None:
    """Synthesize the sentences, write them with their word times, and print the comparison with their energy."""
    from benchmarks.sentence import speak as synthesize  # noqa: PLC0415
    from services.common.wire.parts import SpokenWord  # noqa: PLC0415
    from services.splitter.segmentation.sentences import split  # noqa: PLC0415
    from services.splitter.segmentation.words import unpacked  # noqa: PLC0415
    from services.synth_worker.engines.embedded.engine import (  # noqa: PLC0415
        EmbeddedEngine,
        EmbeddedSettings,
    )
    from services.synth_worker.engines.protocol import Utterance  # noqa: PLC0415
    from services.synth_worker.word_times import SpeechSpan, word_times  # noqa: PLC0415

    FOLDER.mkdir(exist_ok=True)
    engine = EmbeddedEngine(EmbeddedSettings(Path.home() / ".cache/voice-cloning-pipeline", 2))
    engine.load()
    print("| language | words after a pause | median, ms | 90 %, ms |\n|---|---|---|---|")
    for language, texts in SENTENCES.items():
        voice = engine.restore(engine.built_in(engine.describe().default_voices[language]))
        errors_ms: list[float] = []
        for number, text in enumerate(texts):
            [sentence] = split(text, language, max_characters=240).sentences
            spoken = synthesize(engine, voice, Utterance(sentence.spoken, language, 1))
            samples = spoken.samples
            times, origin = word_times(
                [SpokenWord(*word) for word in unpacked(sentence.words)],
                sentence.spoken,
                spoken.times,
                shift=0,
                speech=SpeechSpan(0, len(samples)),
            )
            words = [
                {
                    "word": text[time.start : time.end],
                    "start": time.first_sample / RATE_HZ,
                    "end": time.end_sample / RATE_HZ,
                }
                for time in times
            ]
            assert origin == "measured", text
            errors_ms += _errors_after_pauses(samples, [word["start"] for word in words])
            np.save(FOLDER / f"{language}-{number}.npy", samples)
            (FOLDER / f"{language}-{number}.json").write_text(json.dumps([text, words]))
        _print_row(language, errors_ms)
    engine.close()


def _errors_after_pauses(samples: Any, starts: Sequence[Any]) -> list[float]:
    """Return, for each word after a pause, the distance from its beginning to that of the audio, in ms."""
    whole = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    level_db = 10 * np.log10((whole**2).mean(axis=1) + 1e-10)
    audible = level_db > np.percentile(level_db, 95) + _QUIET_DB
    errors = []
    quiet = 1_000
    for index, heard in enumerate(audible):
        if heard and quiet * _FRAME / RATE_HZ >= _PAUSE_S:
            onset_s = index * _FRAME / RATE_HZ
            nearest = min(starts, key=lambda start: abs(start - onset_s))
            if abs(nearest - onset_s) < _PAUSE_S * 4:  # else a closure inside a word
                errors.append(abs(nearest - onset_s) * 1000)
        quiet = 0 if heard else quiet + 1
    return errors


def score() -> None:
    """Compare the word times with those of the recognizer."""
    from benchmarks.quality.recogniser import Recogniser  # noqa: PLC0415  # not in the product's environment
    from benchmarks.quality.sources import cache_folder  # noqa: PLC0415

    recognizer = Recogniser(cache_folder(), 2)
    print(
        "| language | words | starts: median, ms | 90 %, ms | ends: median, ms |\n|---|---|---|---|---|"
    )
    for language in SENTENCES:
        starts_ms: list[float] = []
        ends_ms: list[float] = []
        for path in sorted(FOLDER.glob(f"{language}-*.json")):
            _, words = json.loads(path.read_text())
            heard = recognizer.words(np.load(path.with_suffix(".npy")), language)
            for one, other in _matched(words, heard, characters=language == "zh"):
                starts_ms.append(abs(one[0] - other[0]) * 1000)
                ends_ms.append(abs(one[1] - other[1]) * 1000)
        _print_row(language, starts_ms, f" {median(ends_ms):.0f} |")


def _matched(
    words: Sequence[dict[str, Any]], heard: Sequence[tuple[str, float, float]], *, characters: bool
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return the times of equal words in both, in order. `characters`: a recognized word has several."""
    from difflib import SequenceMatcher  # noqa: PLC0415

    ours = [(_bare(word["word"]), word["start"], word["end"]) for word in words]
    theirs = [(_bare(word), start, end) for word, start, end in heard]
    if characters:
        theirs = [
            (
                letter,
                start + (end - start) * index / len(word),
                start + (end - start) * (index + 1) / len(word),
            )
            for word, start, end in theirs
            for index, letter in enumerate(word)
        ]
    matcher = SequenceMatcher(
        None, [word for word, _, _ in ours], [word for word, _, _ in theirs], autojunk=False
    )
    return [
        (ours[block.a + index][1:], theirs[block.b + index][1:])
        for block in matcher.get_matching_blocks()
        for index in range(block.size)
    ]


def _bare(word: str) -> str:
    return "".join(filter(str.isalnum, word)).casefold()


def _print_row(language: str, errors_ms: Sequence[float], rest: str = "") -> None:
    ninth = np.percentile(errors_ms, 90)
    print(f"| {language} | {len(errors_ms)} | {median(errors_ms):.0f} | {ninth:.0f} |{rest}")


def main() -> None:
    """Run one of the two parts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.word_times", description=__doc__)
    parser.add_argument("part", choices=("speak", "score"))
    {"speak": speak, "score": score}[parser.parse_args().part]()


if __name__ == "__main__":
    main()
