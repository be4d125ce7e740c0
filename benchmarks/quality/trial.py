"""One run of the benchmark, from the packages to the findings."""

import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from benchmarks.quality import human
from benchmarks.quality.instruments import Instruments
from benchmarks.quality.measure import ClipScore, SentenceScore, measure_clip, measure_sentence
from benchmarks.quality.plan import Saying, sentences
from benchmarks.quality.references import prepare
from benchmarks.quality.report import Findings
from benchmarks.quality.sources import cache_folder, packages, unpacked
from benchmarks.quality.speakers import speakers, targets
from benchmarks.quality.synthesis import NO_CHANGES, Job, Spoken, speak


class Trial:
    """Holds the recordings, the instruments and the engine under test."""

    def __init__(self, python: Path, threads: int) -> None:
        """Fetch the recordings and measure the people. Raises SourceMissing."""
        cache = cache_folder()
        self._instruments = Instruments(cache, threads)
        self._everybody = speakers()
        self._packages = {name: unpacked(package, cache) for name, package in packages().items()}
        self._clips = {
            one.id: human.Clips(*prepare(one, self._packages[one.package], cache / "clips"))
            for one in self._everybody
        }
        self._galleries = human.galleries(self._everybody, self._clips, self._instruments)
        self._cache, self._python = cache, python
        self._low = {one.id for one in self._everybody if one.low}

    def run(
        self,
        sayings: Sequence[Saying],
        *,
        with_stock: bool,
        held_out: bool = False,
        strength: Mapping[str, float] = NO_CHANGES,
    ) -> Findings:
        """Speak and measure every saying, in the target's voice and, as the floor, in the language's stock voice.

        `held_out`: in the sentences that no setting was chosen on. `strength`: what strength.py changes in the engine.
        """
        texts = sentences(held_out=held_out)
        clones = {saying: _jobs(saying, saying.target, texts) for saying in sayings}
        stocks = (
            {saying: _jobs(saying, self._stock_voice(saying), texts) for saying in sayings}
            if with_stock
            else {}
        )
        clips = {key: pair.reference for key, pair in self._clips.items()}
        spoken = speak(
            chain.from_iterable([*clones.values(), *stocks.values()]),
            self._cache,
            self._python,
            clips,
            strength,
        )
        clone_sentences, clone_clips = self._measured(clones, spoken)
        stock_sentences, stock_clips = self._measured(stocks, spoken)
        chosen = {saying.target for saying in sayings}
        people = tuple(one for one in targets() if one.id in chosen)
        return Findings(
            targets=tuple(sorted(people, key=lambda one: one.part, reverse=True)),
            clone_sentences=clone_sentences,
            stock_sentences=stock_sentences,
            clone_clips=clone_clips,
            stock_clips=stock_clips,
            galleries=self._galleries,
            recognition=human.recognition(self._packages, self._instruments),
            human_opinions=human.opinions(list(people), self._clips, self._instruments),
        )

    def _stock_voice(self, saying: Saying) -> str:
        return "low" if saying.target in self._low else "high"

    def _measured(
        self, work: Mapping[Saying, list[Job]], spoken: Mapping[Job, Spoken]
    ) -> tuple[list[SentenceScore], list[ClipScore]]:
        jobs = list(dict.fromkeys(chain.from_iterable(work.values())))
        heard = []
        for number, job in enumerate(jobs, 1):
            heard.append(measure_sentence(job, spoken[job], self._instruments))
            print(f"\rheard {number}/{len(jobs)}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        clips = [
            measure_clip(saying, [spoken[job] for job in told], self._galleries, self._instruments)
            for saying, told in work.items()
        ]
        return heard, clips


def _jobs(saying: Saying, voice: str, texts: Mapping[str, Sequence[str]]) -> list[Job]:
    spoken = texts[saying.language]
    return [Job(voice, saying.language, spoken[place]) for place in saying.sentences]
