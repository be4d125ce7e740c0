"""Saves all streams to a folder, or restores them: `task nats:save`, `task nats:restore`.

python -m services.admin backup save FOLDER       # while the service runs
python -m services.admin backup restore FOLDER    # into an empty NATS, before a service is started
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from services.common.bus.nats import snapshots
from services.common.bus.nats.connection import NatsBus, connect
from services.common.bus.nats.snapshots import CannotCopy
from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.settings import BadSettings, read_settings
from services.common.wire.failures import PipelineError

_NOT_SAVED = (
    "Not saved, copy them as well: API_KEYS_FILE, the NATS users and store key (deploy/nats/keys), "
    "certificates, .env"
)
_PREFIXES = ("TTS_", "KV_TTS_", "OBJ_TTS_")  # streams, buckets, object stores


async def save(bus: NatsBus, folder: Path) -> dict[str, int]:
    """Save each stream to a folder of its name and return their sizes in bytes.

    Raises CannotCopy, BusUnavailable.
    """
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    names = [name for name in await snapshots.streams(bus) if name.startswith(_PREFIXES)]
    return {name: await snapshots.save(bus, name, folder / name) for name in sorted(names)}


async def restore(bus: NatsBus, folder: Path) -> dict[str, int]:
    """Restore each stream and return their message counts.

    Raises CannotCopy if one exists already, BusUnavailable.
    """
    names = _saved(folder)
    if existing := set(names) & set(await snapshots.streams(bus)):
        raise CannotCopy(
            f"streams exist already: {', '.join(sorted(existing))}; stop the services and restore into an empty NATS"
        )
    return {name: await snapshots.restore(bus, name, folder / name) for name in names}


def _saved(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(_PREFIXES))


async def _run(choice: argparse.Namespace, settings: ProcessSettings) -> None:
    bus = await connect(settings, name="backup")
    try:
        if choice.command == "save":
            done = {
                name: f"{size:,} bytes" for name, size in (await save(bus, choice.folder)).items()
            }
        else:
            done = {
                name: f"{messages:,} messages"
                for name, messages in (await restore(bus, choice.folder)).items()
            }
    finally:
        await bus.close()
    for name, what in done.items():
        print(f"{name:<16} {what}")  # noqa: T201  # the output of a command-line program
    if choice.command == "save":
        print(_NOT_SAVED, file=sys.stderr)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on the server at NATS_URL."""
    parser = argparse.ArgumentParser(
        prog="python -m services.admin backup",
        description="Save all streams to a folder, or restore them.",
    )
    parser.add_argument("command", choices=["save", "restore"])
    parser.add_argument("folder", type=Path)
    try:
        asyncio.run(_run(parser.parse_args(arguments), read_settings(ProcessSettings, os.environ)))
    except (PipelineError, CannotCopy, BadSettings, OSError) as error:
        sys.exit(f"backup: {error}")


if __name__ == "__main__":
    main()
