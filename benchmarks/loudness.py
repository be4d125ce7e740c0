"""`python -m benchmarks.loudness`: how loud the embedded engine's sentences are, and how long the pauses between them.

Speaks sentences of several languages in the voice of one recording and in worse copies of it (quiet, clipped, noisy),
and measures each sentence as the engine makes it and as a worker publishes it. All in this process; no service runs.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import numpy as np
import soundfile

from services.common.audio.clip import Clip, Samples
from services.common.audio.loudness import (
    FRAME_S,
    frame_energies,
    gated_lufs,
    integrated_lufs,
    lufs_of,
    true_peak_db,
)
from services.common.audio.pcm import from_pcm16, silence, to_pcm16
from services.common.wire.fields import Loudness
from services.synth_worker.engines.embedded.engine import (
    EmbeddedEngine,
    EmbeddedSettings,
    LoadedVoice,
)
from services.synth_worker.engines.protocol import Utterance
from services.synth_worker.finishing.parameters import finishing_of

RATE_HZ = 24_000
PAUSE_MS = 280  # the splitter's pause after a full stop
QUIET_LU = 30.0  # so far under a sentence's loudness a listener's pause begins
CLIP = Path(__file__).parents[1] / "examples" / "voices" / "austen.flac"
SENTENCES: Mapping[str, Sequence[str]] = {
    "en": (
        "Yes.",
        "Where did you put it?",
        "The garden is behind the old house.",
        "No, not that one; the other one, please, if you would be so kind.",
        "Most of the visitors came by train, although the road to the harbour had been repaired in spring.",
    ),
    "fr": (
        "Oui.",
        "Où est la gare ?",
        "Il faisait froid ce matin-là, et le vent venait de la mer.",
        "La plupart des visiteurs sont venus en train, bien que la route du port ait été réparée au printemps.",
    ),
    "de": (
        "Ja.",
        "Wohin fährt der Zug?",
        "Der Garten liegt hinter dem alten Haus.",
        "Die meisten Besucher kamen mit dem Zug, obwohl die Straße zum Hafen im Frühling ausgebessert worden war.",
    ),
    "es": (
        "Sí.",
        "Buenos días, hablo con otra voz.",
        "El jardín está detrás de la casa vieja, junto al río.",
    ),
    "it": (
        "Sì.",
        "Buongiorno, parlo con un'altra voce.",
        "Il giardino è dietro la vecchia casa, vicino al fiume.",
    ),
    "pt": (
        "Sim.",
        "Bom dia, falo com outra voz.",
        "O jardim fica atrás da casa velha, perto do rio.",
    ),
    "pl": ("Tak.", "Dzień dobry, mówię innym głosem.", "Ogród jest za starym domem, blisko rzeki."),
    "ru": (
        "Да.",
        "Доброе утро, я говорю другим голосом.",
        "Сад находится за старым домом, у самой реки.",
    ),
    "zh": ("是。", "早上好，我用另一个声音说话。", "花园在老房子的后面，靠近河边。"),
    "ja": ("はい。", "おはようございます、別の声で話します。", "庭は古い家の裏にあります。"),
    "ko": ("네.", "안녕하세요, 저는 다른 목소리로 말합니다.", "정원은 오래된 집 뒤에 있습니다."),
    "hi": ("हाँ।", "सुप्रभात, मैं दूसरी आवाज़ में बोलता हूँ।", "बगीचा पुराने घर के पीछे है।"),
    "ar": ("نعم.", "صباح الخير، أتكلم بصوت آخر.", "الحديقة خلف البيت القديم."),
}


@dataclass(frozen=True, eq=False)
class Spoken:
    """One sentence, as the engine makes it and as it is published."""

    language: str
    raw: Samples
    published: Samples
    finishing_s: float


def variants(clip: Clip) -> dict[str, Clip]:
    """Return the recording and worse copies of it."""
    samples, generator = clip.samples, np.random.default_rng(1)
    noise = generator.normal(
        0, float(np.sqrt(np.mean(samples**2))) * 10 ** (-15 / 20), len(samples)
    )
    made = {
        "as it is": samples,
        "30 dB quieter": samples * 0.03,
        "clipped": np.clip(samples * 8, -0.9, 0.9),
        "noisy, 15 dB": samples + noise,
    }
    return {name: Clip(each.astype(np.float32), clip.sample_rate_hz) for name, each in made.items()}


def speak(
    engine: EmbeddedEngine, voice: LoadedVoice, utterance: Utterance, target: Loudness
) -> Spoken:
    """Speak a sentence and finish it chunk by chunk, as a worker does."""
    finish = finishing_of(engine.describe(), utterance, target)
    sentence, raw, finished, spent_s = engine.open(utterance, voice), [], [], 0.0
    while not (step := engine.step([sentence])[0]).done:
        raw.append(step.samples)
        begun = time.thread_time()
        finished.append(finish.push(step.samples))
        spent_s += time.thread_time() - begun
    begun = time.thread_time()
    finished.append(finish.finish())
    spent_s += time.thread_time() - begun
    published = from_pcm16(to_pcm16(np.concatenate(finished)))
    return Spoken(utterance.language, np.concatenate(raw), published, spent_s)


def edges_ms(samples: Samples) -> tuple[float, float]:
    """Return the silence before and after the speech of a sentence."""
    energies = frame_energies(samples, RATE_HZ)
    threshold = gated_lufs(energies) - QUIET_LU
    [sounding] = np.nonzero([lufs_of(energy) > threshold for energy in energies.tolist()])
    return sounding[0] * FRAME_S * 1000, (len(energies) - 1 - sounding[-1]) * FRAME_S * 1000


def pauses_ms(sentences: Sequence[Samples]) -> list[float]:
    """Return the silence between each sentence and the next one; the splitter's pause is 280 ms."""
    edges = [edges_ms(samples) for samples in sentences]
    return [after + PAUSE_MS + before for (_, after), (before, _) in pairwise(edges)]


def answer(sentences: Sequence[Samples]) -> Samples:
    """Return sentences one after the other, with their pauses."""
    gap = silence(PAUSE_MS, RATE_HZ)
    return np.concatenate([piece for samples in sentences for piece in (samples, gap)])


def row(name: str, spoken: Sequence[Spoken]) -> str:
    """Return a line of the table."""
    raw, published = [each.raw for each in spoken], [each.published for each in spoken]
    cells = [name, str(len(spoken))]
    for sentences in (raw, published):
        loudness = [integrated_lufs([samples], RATE_HZ) for samples in sentences]
        cells.append(f"{fmean(loudness):.1f} ({min(loudness):.1f} to {max(loudness):.1f})")
    cells.append(f"{integrated_lufs([answer(published)], RATE_HZ):.1f}")
    cells += [f"{max(map(true_peak_db, sentences)):.1f}" for sentences in (raw, published)]
    cells += [
        f"{fmean(found):.0f} ({min(found):.0f} to {max(found):.0f})"
        for found in map(pauses_ms, (raw, published))
    ]
    return f"| {' | '.join(cells)} |"


def report(spoken: Mapping[str, Sequence[Spoken]], target_lufs: float) -> str:
    """Return the table, and what is true of all sentences together."""
    titles = (
        "",
        "sentences",
        "LUFS, engine",
        "LUFS",
        "answer",
        "dBTP, engine",
        "dBTP",
        "pause, engine",
        "pause, ms",
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    first = next(iter(spoken.values()))
    lines += [
        row(language, [each for each in first if each.language == language])
        for language in SENTENCES
    ]
    lines += [row(f"all, reference {name}", sentences) for name, sentences in spoken.items()]
    every = [each for sentences in spoken.values() for each in sentences]
    misses = np.array([integrated_lufs([each.published], RATE_HZ) - target_lufs for each in every])
    spent_s, audio_s = (
        sum(each.finishing_s for each in every),
        sum(len(each.raw) for each in every) / RATE_HZ,
    )
    lines.append(
        f"\n{len(every)} sentences: {np.mean(np.abs(misses) <= 1):.1%} within 1 LU, standard deviation "
        f"{np.std(misses):.2f} LU, furthest {misses[np.argmax(np.abs(misses))]:+.2f} LU; the engine's own: mean "
        f"{fmean(integrated_lufs([each.raw], RATE_HZ) for each in every):.1f} LUFS, standard deviation "
        f"{np.std([integrated_lufs([each.raw], RATE_HZ) for each in every]):.2f} LU. Finishing takes "
        f"{spent_s / audio_s * 1000:.1f} ms of processor time for a second of audio."
    )
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loudness", description=__doc__)
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "voice-cloning-pipeline",
        metavar="FOLDER",
    )
    parser.add_argument(
        "--clip", type=Path, default=CLIP, metavar="FILE", help="recording of the voice"
    )
    parser.add_argument("--lufs", type=float, default=-18.0, metavar="N")
    options = parser.parse_args()
    samples, rate_hz = soundfile.read(options.clip, dtype="float32", always_2d=True)
    engine = EmbeddedEngine(EmbeddedSettings(cache=options.cache))
    engine.load()
    spoken: dict[str, list[Spoken]] = {}
    for name, clip in variants(Clip(samples.mean(axis=1), rate_hz)).items():
        voice = engine.restore(engine.condition([clip]))
        spoken[name] = [
            speak(engine, voice, Utterance(text, language, 1), options.lufs)
            for language, texts in SENTENCES.items()
            for text in texts
        ]
    engine.close()
    print(report(spoken, options.lufs))


if __name__ == "__main__":
    main()
