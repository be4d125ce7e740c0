"""Commands that failed at every attempt: `python -m services.admin dead-letters list | replay NUMBER | purge`.

Payloads are never shown, as they contain texts.
"""

import argparse
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from services.admin.command_line import print_line, run_on_bus
from services.common.bus import topology
from services.common.bus.ports import Bus, Stored
from services.common.wire import codec, subjects
from services.common.wire.messages import DeadLetter, SentenceJob, SpeechRequest

_Command = SpeechRequest | SentenceJob  # the commands that a dead letter can hold
_MOST: Final = 10_000
_NEW_LIFETIME_S: Final = 3600.0  # the old deadline has passed by the time of a replay


class NoSuchLetter(Exception):
    """No dead letter has this number."""


async def letters(bus: Bus) -> list[tuple[Stored, DeadLetter]]:
    """Return all dead letters, oldest first."""
    stored = await bus.stored(topology.DEAD, subjects.DEAD, most=_MOST)
    return [(message, codec.decode(message.payload, DeadLetter)) for message in stored]


async def replay(bus: Bus, number: int) -> str:
    """Republish a letter's command with a new deadline, remove the letter, return the subject.

    Raises NoSuchLetter, or QueueFull if the queue is full; then the letter stays.
    """
    for message, letter in await letters(bus):
        if message.number == number:
            await bus.publish(
                letter.subject,
                _with_new_deadline(letter),
                message_id=f"replay.{number}.{secrets.token_hex(8)}",
                lifetime_s=_NEW_LIFETIME_S,
            )
            await bus.remove(topology.DEAD, number)
            return letter.subject
    raise NoSuchLetter(f"no dead letter has the number {number}; `list` shows the existing ones")


def _with_new_deadline(letter: DeadLetter) -> bytes:
    command: _Command = codec.decode(letter.payload, _Command)  # type: ignore[arg-type]  # a union is a type to msgspec
    deadline_unix_ms = round((time.time() + _NEW_LIFETIME_S) * 1000)
    return codec.encode(msgspec.structs.replace(command, deadline_unix_ms=deadline_unix_ms))


async def purge(bus: Bus, *, number: int | None = None, code: str | None = None) -> int:
    """Remove one letter, those with a failure code, or all; return how many were removed."""
    chosen = [
        message.number
        for message, letter in await letters(bus)
        if (number is None or message.number == number) and (code is None or letter.code == code)
    ]
    for each in chosen:
        await bus.remove(topology.DEAD, each)
    return len(chosen)


def described(message: Stored, letter: DeadLetter) -> str:
    """Return a one-line summary of a letter."""
    when = datetime.fromtimestamp(message.unix_s, UTC).isoformat(timespec="seconds")
    fields = (
        letter.code,
        f"attempt {letter.attempts}",
        letter.subject,
        letter.trace,
        letter.detail,
    )
    return "  ".join([f"{message.number:>6}", when, *filter(None, fields)])


async def _run(choice: argparse.Namespace, bus: Bus) -> None:
    if choice.command == "list":
        found = [described(message, letter) for message, letter in await letters(bus)]
        print_line("\n".join(found) or "No dead letters.")
    elif choice.command == "replay":
        print_line(f"Published again on {await replay(bus, choice.number)}")
    else:
        print_line(f"Removed {await purge(bus, number=choice.number, code=choice.code)}.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on the server at NATS_URL."""
    parser = argparse.ArgumentParser(
        prog="python -m services.admin dead-letters", description=__doc__
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list all: time, failure and subject, one per line")
    commands.add_parser("replay", help="republish one").add_argument("number", type=int)
    purging = commands.add_parser(
        "purge", help="remove one, some or all"
    ).add_mutually_exclusive_group(required=True)
    purging.add_argument("number", type=int, nargs="?")
    purging.add_argument("--code", help="those with this failure code")
    purging.add_argument("--all", action="store_true")
    choice = parser.parse_args(arguments)
    run_on_bus("dead_letters", partial(_run, choice), NoSuchLetter)


if __name__ == "__main__":
    main()
