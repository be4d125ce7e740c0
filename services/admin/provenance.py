"""The provenance log: `python -m services.admin provenance verify | find FILE`, as the operator.

`verify` walks the chain of every tenant, and prints its head: note it elsewhere, and give it to a later `verify`.
`find` looks a recording up in the logs of all tenants; it needs the packages of the HTTP edge, which decode files.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from msgspec import UNSET

from services.admin.command_line import print_line, run_on_bus
from services.common.audio.wav import read_wav
from services.common.bus.ports import Bus
from services.common.bus.provenance.reading import (
    ChainReport,
    LogHead,
    logged_tenants,
    verify_chain,
)
from services.common.bus.provenance.search import ProvenanceSearch


class ProvenanceFault(Exception):
    """The command found a fault, or cannot run, for the reason in its message."""


async def verified(bus: Bus, heads: Sequence[str] = ()) -> tuple[list[str], bool]:
    """Return a line for each log and each fault, and whether all logs are intact.

    `heads`: `tenant:number:hash`. Raises ProvenanceFault for another form, BusUnavailable.
    """
    noted = dict(map(_noted, heads))
    lines = []
    intact = True
    for tenant in sorted({*await logged_tenants(bus), *noted}):
        report = await verify_chain(bus, tenant, noted.get(tenant))
        intact = intact and not report.faults
        lines += [_described(report), *(f"  FAULT {fault}" for fault in report.faults)]
    return lines or ["The log is empty."], intact


def _noted(head: str) -> tuple[str, LogHead]:
    tenant, _, rest = head.partition(":")
    number, _, digest = rest.partition(":")
    if not (tenant and number.isdecimal() and digest):
        raise ProvenanceFault(f"--head {head}: write TENANT:NUMBER:HASH, as verify prints it")
    return tenant, LogHead(int(number), digest)


def _described(report: ChainReport) -> str:
    head = report.head
    if head is None:
        return f"{report.tenant}  no entries"
    since = datetime.fromtimestamp(report.first_unix_s, UTC).isoformat(timespec="seconds")
    return (
        f"{report.tenant}:{head.number}:{head.hash}  {report.sentences} sentences since {since}, "
        f"entries {report.first_number} to {head.number}"
    )


async def found(bus: Bus, path: Path, search_s: float) -> list[str]:
    """Return the facts known about a recording, line by line. Raises PipelineError, ProvenanceFault."""
    try:
        # the image with the operator's commands does not have it
        from services.http_edge.intake.reference.decoder import ReferenceDecoder  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ProvenanceFault(
            f"{error.name} is missing: run find where the whole service is installed (./task setup)"
        ) from error

    async with ReferenceDecoder(1) as decoder:
        recording = await decoder.inspect(path, "operator")
    mark = recording.watermark
    verdict = "marked" if mark.marked else "no watermark found"
    lines = [f"{recording.seconds:.1f} s, {verdict} (false alarm 10^{mark.log10_false_alarm:.1f})"]
    for tenant in await logged_tenants(bus):
        result = await ProvenanceSearch(bus, search_s).search(tenant, read_wav(recording.wav))
        for one in result.found:
            sentence = one.sentence
            spoken = datetime.fromtimestamp(sentence.spoken_unix_ms / 1000, UTC)
            voice = "clips" if sentence.voice is UNSET else sentence.voice
            exact = "exact" if one.exact else f"{one.difference:.1%} of bits differ"
            lines.append(
                f"{tenant}  {sentence.request}  sentence {sentence.sentence}  "
                f"{spoken.isoformat(timespec='seconds')}  {voice}  at {one.start_s:.2f} s  {exact}"
            )
        if not result.complete:
            lines.append(f"{tenant}  the search ended early; raise --seconds")
    return lines


async def _run(choice: argparse.Namespace, bus: Bus) -> None:
    if choice.command == "find":
        print_line("\n".join(await found(bus, choice.file, choice.seconds)))
        return
    lines, intact = await verified(bus, choice.head)
    print_line("\n".join(lines))
    if not intact:
        raise ProvenanceFault("a log is not as it was written")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on the server at NATS_URL."""
    parser = argparse.ArgumentParser(
        prog="python -m services.admin provenance", description=__doc__
    )
    commands = parser.add_subparsers(dest="command", required=True)
    verifying = commands.add_parser("verify", help="check every chain of hashes")
    verifying.add_argument("--head", action="append", default=[], metavar="TENANT:NUMBER:HASH")
    finding = commands.add_parser("find", help="look a recording up in all logs")
    finding.add_argument("file", type=Path)
    finding.add_argument("--seconds", type=float, default=600.0, help="limit for each tenant")
    choice = parser.parse_args(arguments)
    run_on_bus("provenance", partial(_run, choice), ProvenanceFault, OSError)


if __name__ == "__main__":
    main()
