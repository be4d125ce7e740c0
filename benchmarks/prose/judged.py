"""Readers' verdicts on sampled rewrites, stored in judged/<language>.tsv, and the resulting precision.

A verdict holds for what was spoken. Where the code now speaks something else in the same context, the verdict is void
unless the new text is the one that the reader named as right; a text that is no longer rewritten does not count.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import Final

from benchmarks.prose.rewrites import Found, Rewrite

FOLDER: Final = Path(__file__).with_name("judged")
FIELDS: Final = ("rule", "source", "before", "written", "spoken", "after", "verdict", "right")
VERDICTS: Final = frozenset({"right", "wrong"})


@dataclass(frozen=True)
class Judgement:
    """A reader's verdict on one rewrite."""

    rule: str
    source: str
    before: str
    written: str
    spoken: str
    after: str
    verdict: str  # "right", "wrong"
    right: str = ""  # what would be right, if it was wrong

    @property
    def key(self) -> tuple[str, str, str]:
        """Return the context, as `Rewrite.key`."""
        return self.before, self.written, self.after


@dataclass(frozen=True)
class Standing:
    """The precision of a language by its judgements, for the current code."""

    language: str
    right: tuple[Rewrite, ...]
    wrong: tuple[Rewrite, ...]
    changed: tuple[tuple[Judgement, Rewrite], ...]  # something else is spoken now: to judge again
    gone: tuple[Judgement, ...]  # no longer rewritten this way, or not in this prose


def load(language: str, folder: Path = FOLDER) -> list[Judgement]:
    """Return a language's judgements. Raises ValueError for a row whose verdict is neither right nor wrong."""
    path = folder / f"{language}.tsv"
    rows = _read(path) if path.exists() else []
    for number, row in enumerate(rows, start=2):
        if row.get("verdict") not in VERDICTS:
            raise ValueError(f"{path.name}, line {number}: verdict must be right or wrong")
    return [_judgement(row) for row in rows]


def save(language: str, judgements: Iterable[Judgement], folder: Path = FOLDER) -> None:
    """Write a language's judgements, in order of rule and context."""
    folder.mkdir(exist_ok=True)
    rows = sorted(judgements, key=lambda one: (one.rule, one.key))
    _write(folder / f"{language}.tsv", FIELDS, (asdict(row) for row in rows))


def to_judge(path: Path, rewrites: Iterable[Rewrite]) -> int:
    """Write rewrites that a reader has not judged yet, with empty verdicts; return how many there are."""
    rows = [{**asdict(rewrite), "verdict": "", "right": ""} for rewrite in rewrites]
    _write(path, ("language", *FIELDS), rows)
    return len(rows)


def merge(path: Path, folder: Path = FOLDER) -> int:
    """Take the verdicts of a sample that was read into the judgements, in place of older ones; return how many."""
    rows = [row for row in _read(path) if row["verdict"]]
    for row in rows:
        if row["verdict"] not in VERDICTS:
            raise ValueError(f"{path.name}: verdict must be right or wrong, not {row['verdict']!r}")
    for language in sorted({row["language"] for row in rows}):
        merged = {judgement.key: judgement for judgement in load(language, folder)}
        read = [_judgement(row) for row in rows if row["language"] == language]
        merged.update((judgement.key, judgement) for judgement in read)
        save(language, merged.values(), folder)
    return len(rows)


def _judgement(row: dict[str, str]) -> Judgement:
    return Judgement(**{name: row[name] or "" for name in FIELDS})


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _write(path: Path, fields: Sequence[str], rows: Iterable[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file,
            fields,
            delimiter="\t",
            lineterminator="\n",
            quoting=csv.QUOTE_NONE,
            quotechar=None,
        )
        writer.writeheader()
        writer.writerows(rows)


def standing(judgements: list[Judgement], found: Found) -> Standing:
    """Return what the judgements say of these rewrites."""
    now = {rewrite.key: rewrite for rewrite in found.rewrites}
    right, wrong, changed, gone = [], [], [], []
    for judgement in judgements:
        rewrite = now.get(judgement.key)
        if rewrite is None:
            gone.append(judgement)
        elif rewrite.spoken == judgement.spoken:
            (right if judgement.verdict == "right" else wrong).append(rewrite)
        elif judgement.verdict == "wrong" and rewrite.spoken == judgement.right:
            right.append(rewrite)
        else:
            changed.append((judgement, rewrite))
    return Standing(found.language, tuple(right), tuple(wrong), tuple(changed), tuple(gone))


def unjudged(judgements: list[Judgement], rewrites: Iterable[Rewrite]) -> list[Rewrite]:
    """Return the rewrites without a valid verdict."""
    known = {(one.key, spoken) for one in judgements for spoken in (one.spoken, one.right)}
    return [rewrite for rewrite in rewrites if (rewrite.key, rewrite.spoken) not in known]


def wilson(right: int, judged: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's interval of a share, at 95 % by default."""
    if not judged:
        return 0.0, 1.0
    share = right / judged
    centre = share + z * z / (2 * judged)
    spread = z * sqrt(share * (1 - share) / judged + z * z / (4 * judged * judged))
    scale = 1 + z * z / judged
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
