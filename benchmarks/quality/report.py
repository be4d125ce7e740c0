"""The figures as Markdown tables. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from benchmarks.quality.gallery import Gallery
from benchmarks.quality.instruments import ENCODERS
from benchmarks.quality.measure import ClipScore, SentenceScore
from benchmarks.quality.speakers import Speaker


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything that one run has measured."""

    targets: tuple[Speaker, ...]
    clone_sentences: Sequence[SentenceScore]
    stock_sentences: Sequence[SentenceScore]
    clone_clips: Sequence[ClipScore]
    stock_clips: Sequence[ClipScore]
    galleries: dict[str, Gallery]
    recognition: dict[str, tuple[int, float, float]]
    human_opinions: dict[str, dict[str, float]]


def render(found: Findings) -> str:
    """Write every table."""
    sections = (
        _voices(found),
        _languages(found),
        _cost(found),
        _people(found),
        _flaws(found),
        _instruments(found),
    )
    return "\n\n".join(sections) + "\n"


def details(found: Findings) -> str:
    """Write one line per sentence, tab-separated: the expected text, the transcript, and what is wrong."""
    rows = ["kind\tlanguage\tvoice\tcer\tseconds\tcomplaints\ttext\theard"]
    kinds = (("clone", found.clone_sentences), ("stock", found.stock_sentences))
    for kind, scores in kinds:
        for one in scores:
            complaints = "; ".join(one.inspection.complaints())
            figures = f"{_cer(one):.3f}\t{one.inspection.seconds:.2f}\t{complaints}"
            rows.append(
                f"{kind}\t{one.job.language}\t{one.job.voice}\t{figures}\t{one.job.text}\t{one.heard}"
            )
    return "\n".join(rows) + "\n"


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> str:
    lines = [f"### {title}", ""]
    lines += [f"| {' | '.join(header)} |", "|" + "|".join("---" for _ in header) + "|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", note] if note else lines)


def _voices(found: Findings) -> str:
    """Return the similarity of a voice to its target's held-out recording, by the target's part."""
    header = ["targets", "voice", "clips"]
    for name in ENCODERS:
        header += [f"{name} cosine", "to others", "nearest of 14", "median rank"]
    rows = [
        row
        for title, parts in (
            ("listed", ["listed"]),
            ("held out", ["heldout"]),
            ("all", ["listed", "heldout"]),
        )
        for row in _part_rows(found, title, parts)
    ]
    note = (
        "`stock`: the language's own voice, the floor; `human`: the target's reference clip, the ceiling. Each clip is "
        "two sentences. The d-vector encoder is independent of the engine; GE2E is searched by it, so it flatters."
    )
    return _table("Voices", header, rows, note)


def _part_rows(found: Findings, title: str, parts: list[str]) -> list[list[str]]:
    ids = {speaker.id for speaker in found.targets if speaker.part in parts}
    rows = []
    for kind, clips in (("clone", found.clone_clips), ("stock", found.stock_clips)):
        chosen = [clip for clip in clips if clip.target in ids]
        cells = [cell for name in ENCODERS for cell in _likeness(chosen, name)] if chosen else []
        rows.append([title, kind, str(len(chosen)), *cells])
    ceiling = [cell for name in ENCODERS for cell in _human(found, name, parts)]
    rows.append([title, "human", str(len(ids)), *ceiling])
    return [row for row in rows if len(row) > 3 and ids]


def _likeness(clips: Sequence[ClipScore], encoder: str) -> list[str]:
    of = [clip.likeness[encoder] for clip in clips]
    return [
        f"{fmean(one.target for one in of):.3f}",
        f"{fmean(one.others for one in of):.3f}",
        f"{fmean(one.first_of_part for one in of):.0%}",
        f"{median(one.rank for one in of):g}",
    ]


def _human(found: Findings, encoder: str, parts: list[str]) -> list[str]:
    same, others, nearest = found.galleries[encoder].human(parts)
    return [f"{same:.3f}", f"{others:.3f}", f"{nearest:.0%}", "1"]


def _languages(found: Findings) -> str:
    header = [
        "language",
        "sentences",
        "CER",
        "WER",
        "stock CER",
        "d-vector",
        "stock",
        "nearest of 14",
    ]
    header += ["GE2E", "SIG", "OVRL", "P.808", "stock P.808", "Distill-MOS", "stock Distill-MOS"]
    languages = dict.fromkeys(one.job.language for one in found.clone_sentences)
    rows = [_language_row(found, language) for language in languages]
    note = (
        "CER and WER by whisper-base given the language, texts normalised (README). ja: CER of the readings in kana. "
        "zh: error rate of the syllables in pinyin without their tones; in brackets that of the syllables with tones. "
        "`writing`: of the characters as written. hi: whisper-base cannot write it, so its CER is meaningless."
    )
    return _table("Languages", header, rows, note)


def _language_row(found: Findings, language: str) -> list[str]:
    clone = [one for one in found.clone_sentences if one.job.language == language]
    stock = [one for one in found.stock_sentences if one.job.language == language]
    clips = [clip for clip in found.clone_clips if clip.language == language]
    floor = [clip for clip in found.stock_clips if clip.language == language]
    return [
        language,
        str(len(clone)),
        _error_cell(clone),
        _word_cell(clone),
        _error_cell(stock) if stock else "",
        f"{fmean(clip.likeness['d-vector'].target for clip in clips):.3f}",
        f"{fmean(clip.likeness['d-vector'].target for clip in floor):.3f}" if floor else "",
        f"{fmean(clip.likeness['d-vector'].first_of_part for clip in clips):.0%}",
        f"{fmean(clip.likeness['GE2E'].target for clip in clips):.3f}",
        *(f"{fmean(clip.opinion[name] for clip in clips):.2f}" for name in ("sig", "ovrl", "p808")),
        f"{fmean(clip.opinion['p808'] for clip in floor):.2f}" if floor else "",
        f"{fmean(clip.opinion['distilled'] for clip in clips):.2f}",
        f"{fmean(clip.opinion['distilled'] for clip in floor):.2f}" if floor else "",
    ]


def _cer(one: SentenceScore) -> float:
    return one.cer if one.reading_cer is None else one.reading_cer


def _error_cell(scores: Sequence[SentenceScore]) -> str:
    headline = f"{fmean(map(_cer, scores)):.3f}"
    tonal = [one.tonal_cer for one in scores if one.tonal_cer is not None]
    more = [f"with tones {fmean(tonal):.3f}"] if tonal else []
    more += (
        [f"writing {fmean(one.cer for one in scores):.3f}"]
        if scores[0].reading_cer is not None
        else []
    )
    return f"{headline} ({', '.join(more)})" if more else headline


def _word_cell(scores: Sequence[SentenceScore]) -> str:
    words = [one.wer for one in scores if one.wer is not None]
    return f"{fmean(words):.3f}" if words else "—"


def _cost(found: Findings) -> str:
    clones = found.clone_sentences
    enrolments = list({one.job.voice: one.spoken.enrolment_s for one in clones}.values())
    rows = [
        [
            "real-time factor, mean over sentences",
            f"{fmean(one.real_time_factor for one in clones):.2f}",
        ],
        ["first audio, median (s)", f"{median(one.spoken.first_audio_s for one in clones):.2f}"],
        ["enrolment, median and longest (s)", f"{median(enrolments):.2f}, {max(enrolments):.2f}"],
        [
            "peak memory of the engine's process (MB)",
            f"{max(one.spoken.rss_mb for one in clones):.0f}",
        ],
    ]
    return _table(
        "Cost",
        ["figure", "value"],
        rows,
        "As this run met them, whatever else the machine was doing.",
    )


def _people(found: Findings) -> str:
    header = [
        "target",
        "part",
        "clips",
        "d-vector",
        "stock",
        "human",
        "nearest of 14",
        "GE2E",
        "OVRL",
        "human OVRL",
    ]
    rows = [_person_row(found, speaker) for speaker in found.targets]
    return _table(
        "Targets", header, [row for row in rows if row], "`8 kHz` marks telephone recordings."
    )


def _person_row(found: Findings, speaker: Speaker) -> list[str]:
    clips = [clip for clip in found.clone_clips if clip.target == speaker.id]
    floor = [clip for clip in found.stock_clips if clip.target == speaker.id]
    if not clips:
        return []
    gallery = found.galleries["d-vector"]
    place = gallery.ids.index(speaker.id)
    return [
        speaker.id + (" (8 kHz)" if speaker.narrowband else ""),
        {"heldout": "held out"}.get(speaker.part, speaker.part),
        str(len(clips)),
        f"{fmean(clip.likeness['d-vector'].target for clip in clips):.3f}",
        f"{fmean(clip.likeness['d-vector'].target for clip in floor):.3f}" if floor else "",
        f"{float(gallery.references[place] @ gallery.held[place]):.3f}",
        f"{fmean(clip.likeness['d-vector'].first_of_part for clip in clips):.0%}",
        f"{fmean(clip.likeness['GE2E'].target for clip in clips):.3f}",
        f"{fmean(clip.opinion['ovrl'] for clip in clips):.2f}",
        f"{found.human_opinions[speaker.id]['ovrl']:.2f}",
    ]


def _flaws(found: Findings) -> str:
    kinds = (("clone", found.clone_sentences), ("stock", found.stock_sentences))
    rows = [
        [kind, one.job.language, one.job.voice, "; ".join(complaints)]
        for kind, scores in kinds
        for one in scores
        if (complaints := one.inspection.complaints())
    ]
    shown = rows[:20] or [["none", "", "", ""]]
    levels = [one.inspection.level_db for one in found.clone_sentences]
    note = (
        f"{len(rows)} of {len(found.clone_sentences) + len(found.stock_sentences)} sentences have one. Speech level of "
        f"the clones: {min(levels):.0f} to {max(levels):.0f} dB of full scale."
    )
    return _table("Flaws", ["voice", "language", "target", "complaint"], shown, note)


def _instruments(found: Findings) -> str:
    rows = []
    for name, gallery in found.galleries.items():
        rate, threshold = gallery.equal_error()
        count = len(gallery.ids)
        _, _, nearest = gallery.human(["listed", "heldout", "crowd"])
        cell = f"equal error rate {rate:.1%} at {threshold:.3f}; own held-out clip is nearest in {nearest:.0%}"
        rows.append([f"{name}, {count} speakers", cell])
    for language, (count, cer, wer) in found.recognition.items():
        rows.append(
            [f"whisper-base, {language}, {count} read sentences", f"CER {cer:.3f}, WER {wer:.3f}"]
        )
    scores = list(found.human_opinions.values())
    means = [
        f"{key.upper()} {fmean(one[key] for one in scores):.2f}" for key in ("sig", "ovrl", "p808")
    ]
    rows.append([f"DNSMOS, {len(scores)} held-out recordings", ", ".join(means)])
    distilled = f"{fmean(one['distilled'] for one in scores):.2f}"
    rows.append([f"Distill-MOS, {len(scores)} held-out recordings", distilled])
    return _table("The instruments on human speech", ["instrument", "finding"], rows)
