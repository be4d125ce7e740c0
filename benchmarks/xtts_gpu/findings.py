"""The result of a step, and how it is printed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["passed", "failed", "not measured"]


@dataclass(frozen=True)
class Check:
    """One claim that a step examined."""

    claim: str
    holds: bool
    found: str = ""


@dataclass
class Findings:
    """The findings of a step; filled while it runs."""

    figures: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    skipped: list[str] = field(
        default_factory=list
    )  # parts that were not measured, with the reason

    def check(self, claim: str, holds: bool, found: object = "") -> None:
        """Record whether a claim holds, with the value found."""
        self.checks.append(Check(claim, bool(holds), str(found)))

    def skip(self, part: str, reason: str) -> None:
        """Record that a part was not measured."""
        self.skipped.append(f"{part}: {reason}")


@dataclass(frozen=True)
class Outcome:
    """A step that ended, in whatever way."""

    step: str
    verdict: Verdict
    seconds: float
    figures: dict[str, Any]
    checks: list[Check]
    skipped: list[str]
    error: str = ""  # the last lines of the traceback, or that the time ran out


def outcome_of(step: str, seconds: float, findings: Findings, error: str = "") -> Outcome:
    """Return a step's outcome: it failed with an error, or if a claim does not hold."""
    failed = bool(error) or any(not check.holds for check in findings.checks)
    measured = bool(findings.checks or findings.figures)
    verdict: Verdict = "not measured"
    if failed:
        verdict = "failed"
    elif measured:
        verdict = "passed"
    return Outcome(
        step, verdict, seconds, findings.figures, findings.checks, findings.skipped, error
    )


def as_json(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return the outcomes for the JSON file."""
    return [asdict(outcome) for outcome in outcomes]


def table_of(outcomes: Sequence[Outcome]) -> str:
    """Return the report as Markdown: a verdict for each step, then what was found."""
    lines = ["| step | verdict | seconds | claims that hold |", "|---|---|---|---|"]
    for outcome in outcomes:
        held = sum(check.holds for check in outcome.checks)
        lines.append(
            f"| {outcome.step} | {outcome.verdict} | {outcome.seconds:.1f} | {held} of {len(outcome.checks)} |"
        )
    for outcome in outcomes:
        lines += _details(outcome)
    return "\n".join(lines)


def _details(outcome: Outcome) -> list[str]:
    lines = ["", f"### {outcome.step}: {outcome.verdict}", ""]
    for check in outcome.checks:
        found = f" ({check.found})" if check.found else ""
        lines.append(f"- {'holds' if check.holds else 'DOES NOT HOLD'}: {check.claim}{found}")
    lines += [f"- {name}: {_figure(value)}" for name, value in outcome.figures.items()]
    lines += [f"- not measured: {part}" for part in outcome.skipped]
    if outcome.error:
        lines += ["", "```", outcome.error, "```"]
    return lines


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_figure(one)}" for name, one in value.items())
    return str(value)
