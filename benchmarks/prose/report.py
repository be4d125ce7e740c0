"""The tables that the benchmark prints."""

from collections import Counter
from collections.abc import Sequence

from benchmarks.prose.judged import Standing, wilson
from benchmarks.prose.rewrites import Found


def prose(results: Sequence[Found]) -> str:
    """Return the words of each language by source."""
    rows = [
        f"| {found.language} | {sum(found.words.values()):,} | "
        + ", ".join(
            f"{name} {count:,}"
            for name, count in sorted(found.words.items(), key=lambda entry: -entry[1])
        )
        + " |"
        for found in results
    ]
    return _table("| language | words | by source |", rows)


def rules(results: Sequence[Found]) -> str:
    """Return the rewrites of each language and rule, the most frequent first, in all and per 1,000 words."""
    rows = []
    for found in results:
        total = sum(found.words.values()) or 1
        for rule, count in [("all", found.rules.total()), *found.rules.most_common()]:
            rows.append(
                f"| {found.language} | {_cell(rule)} | {count:,} | {1_000 * count / total:.3f} |"
            )
    return _table("| language | rule | rewrites | per 1,000 words |", rows)


def precision(standings: Sequence[Standing], results: Sequence[Found]) -> str:
    """Return the share of right rewrites by rule, by language and over all, with Wilson's interval at 95 %.

    `weighted` counts each rule of each language by how often it fires, since of each only so many are judged.
    """
    judged = [
        (standing.language, rewrite.rule, right)
        for standing in standings
        for right, rewrites in ((1, standing.right), (0, standing.wrong))
        for rewrite in rewrites
    ]
    fired = Counter(
        {(found.language, rule): count for found in results for rule, count in found.rules.items()}
    )
    rows = [_share("all", judged, fired)]
    rows += [
        _share(f"language {code}", [one for one in judged if one[0] == code], fired)
        for code in dict.fromkeys(language for language, _, _ in judged)
    ]
    rows += [
        _share(_cell(name), [one for one in judged if one[1] == name], fired)
        for name in sorted({rule for _, rule, _ in judged})
    ]
    return _table("| rule | judged | right | precision | 95 % | weighted |", rows)


def _share(
    name: str, judged: Sequence[tuple[str, str, int]], fired: Counter[tuple[str, str]]
) -> str:
    right, total = sum(verdict for _, _, verdict in judged), len(judged)
    low, high = wilson(right, total)
    strata: dict[tuple[str, str], list[int]] = {}
    for language, rule, verdict in judged:
        strata.setdefault((language, rule), []).append(verdict)
    weight = sum(fired[stratum] for stratum in strata) or 1
    weighted = (
        sum(fired[stratum] * sum(verdicts) / len(verdicts) for stratum, verdicts in strata.items())
        / weight
    )
    share = right / total if total else 0.0
    return (
        f"| {name} | {total} | {right} | {share:.1%} | {low:.1%} to {high:.1%} | {weighted:.2%} |"
    )


def again(standings: Sequence[Standing]) -> str:
    """Return what has to be judged again, because something else is spoken now."""
    lines = [
        f"{standing.language}\t{judgement.rule}\t{judgement.before}[{judgement.written}]{judgement.after}\t"
        f"was {judgement.spoken!r} ({judgement.verdict}), is {rewrite.spoken!r}"
        for standing in standings
        for judgement, rewrite in standing.changed
    ]
    gone = {standing.language: len(standing.gone) for standing in standings if standing.gone}
    return "\n".join(
        [
            f"to judge again: {len(lines)}",
            *lines,
            f"not rewritten so any more, or not found: {gone}",
        ]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(head: str, rows: list[str]) -> str:
    columns = head.count("|") - 1
    return "\n".join([head, "|" + " --- |" * columns, *rows])
