"""Human recordings for the guard's benchmark: those of the quality benchmark, with their texts where they are known."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.quality.references import RATE_HZ, Samples, load
from benchmarks.quality.sources import Package, packages, unpacked

QUIET: Final = 10 ** (-50 / 20)  # as the guard's
_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 25.0  # more is no sentence
_PROMPTS: Final = (
    ("en", "asterisk-core-sounds-en-g722"),
    ("es", "asterisk-core-sounds-es-g722"),
    ("fr", "asterisk-core-sounds-fr-g722"),
    ("it", "asterisk-core-sounds-it-g722"),
    ("ru", "asterisk-core-sounds-ru-g722"),
)
_PLAYED: Final = (("cs", "fillets-ng-data-cs"), ("nl", "fillets-ng-data-nl"))
# The texts of both, apart from the speech of packages.toml: this package has music, too.
_SCRIPTS: Final = Package(
    "fillets-ng-data",
    version="1.0.1-1.1",
    sha256="25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84",
    licence="GPL-2.0-or-later",
)
_LINE: Final = re.compile(r'dialogId\("([^"]+)",[^\n]*\)\s*\ndialogStr\("((?:[^"\\]|\\.)*)"\)')


@dataclass(frozen=True)
class Recording:
    """One sentence of a person."""

    language: str
    samples: Samples
    text: str = ""  # empty: unknown


@dataclass(frozen=True)
class Collection:
    """Recordings of one kind: paths and their texts, empty if unknown."""

    name: str
    language: str
    texts: Mapping[Path, str]

    def recordings(self) -> Iterator[Recording]:
        """Yield the recordings of 1 to 25 s, without the quiet before and after the speech."""
        for path, text in self.texts.items():
            if not path.stat().st_size:
                continue
            try:
                samples = trimmed(load(path))
            except ValueError:  # it has no samples
                continue
            if _SHORTEST_S <= len(samples) / RATE_HZ <= _LONGEST_S:
                yield Recording(self.language, samples, text)


def collections(cache: Path) -> Iterator[Collection]:
    """Yield all recordings, which are fetched into the cache where they are missing. Raises SourceMissing."""
    known = packages()
    names = (
        "festvox-ru",
        "pocketsphinx-testdata",
        *dict(_PLAYED).values(),
        *(n for _, n in _PROMPTS),
    )
    roots = {name: unpacked(known[name], cache) for name in names}
    scripts = unpacked(_SCRIPTS, cache)
    yield Collection("ru, read sentences", "ru", _read_sentences(roots["festvox-ru"]))
    yield Collection("en, a novel", "en", _novel(roots["pocketsphinx-testdata"]))
    for language, package in _PLAYED:
        texts = dialogues(scripts, roots[package], language)
        yield Collection(f"{language}, actors", language, texts)
    for language, package in _PROMPTS:
        paths = sorted(roots[package].glob("usr/share/asterisk/sounds/*/*.g722"))
        yield Collection(f"{language}, prompts", language, dict.fromkeys(paths, ""))


def trimmed(samples: Samples) -> Samples:
    """Return the recording from its first to its last sample that is not quiet."""
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def _read_sentences(root: Path) -> dict[Path, str]:
    """Return the 620 Russian sentences of festvox-ru with their texts; "+" marks a stress."""
    folder = root / "usr/share/festival/voices/russian/msu_ru_nsh_clunits"
    lines = (folder / "etc/txt.done.data").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r'\( (\S+) "(.*)" \)', line.strip()) for line in lines]
    return {
        folder / "wav" / f"{match[1]}.wav": match[2].replace("+", "") for match in found if match
    }


def _novel(root: Path) -> dict[Path, str]:
    """Return the five sentences of a LibriVox reading with their texts."""
    folder = root / "usr/share/pocketsphinx/test/data/librivox"
    lines = (folder / "transcription").read_text(encoding="utf-8").splitlines()
    found = [re.fullmatch(r"<s> (.*) </s> \((.*)\)", line.strip()) for line in lines]
    return {folder / f"{match[2]}.wav": match[1] for match in found if match}


def dialogues(scripts: Path, root: Path, language: str) -> dict[Path, str]:
    """Return the lines of a game's actors with their texts, without templates and lines without words."""
    texts: dict[Path, str] = {}
    for script in sorted(
        scripts.glob(f"usr/share/games/fillets-ng/script/*/dialogs_{language}.lua")
    ):
        folder = root / "usr/share/games/fillets-ng/sound" / script.parent.name / language
        for name, text in _LINE.findall(script.read_text(encoding="utf-8")):
            path = folder / f"{name}.ogg"
            if path.exists() and "%" not in text and any(map(str.isalpha, text)):
                texts[path] = text
    return texts
