"""Everything that the service keeps in NATS, copied into a folder and back: `task nats:save`, `task nats:restore`.

python -m services.admin backup save FOLDER       # while all runs
python -m services.admin backup restore FOLDER    # into a NATS that has no such streams: before any service is started
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

_PREFIXES = ("TTS_", "KV_TTS_", "OBJ_TTS_")  # streams, buckets, object stores


async def save(bus: NatsBus, folder: Path) -> dict[str, int]:
    """Copy each stream into a folder of its name. Return their sizes in bytes. Raises CannotCopy, BusUnavailable."""
    names = [name for name in await snapshots.streams(bus) if name.startswith(_PREFIXES)]
    return {name: await snapshots.save(bus, name, folder / name) for name in sorted(names)}


async def restore(bus: NatsBus, folder: Path) -> dict[str, int]:
    """Recreate each stream. Return their message counts. Raises CannotCopy if one exists already, BusUnavailable."""
    names = _saved(folder)
    if there := set(names) & set(await snapshots.streams(bus)):
        raise CannotCopy(
            f"there already: {', '.join(sorted(there))}; stop the services and restore into an empty NATS"
        )
    return {name: await snapshots.restore(bus, name, folder / name) for name in names}


def _saved(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(_PREFIXES))


async def _act(choice: argparse.Namespace, settings: ProcessSettings) -> None:
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
        print(f"{name:<16} {what}")  # noqa: T201  # this program's output is its terminal


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; NATS_URL is the server."""
    parser = argparse.ArgumentParser(
        prog="python -m services.admin backup", description="Copy all streams out or back."
    )
    parser.add_argument("command", choices=["save", "restore"])
    parser.add_argument("folder", type=Path)
    try:
        asyncio.run(_act(parser.parse_args(arguments), read_settings(ProcessSettings, os.environ)))
    except (PipelineError, CannotCopy, BadSettings, OSError) as error:
        sys.exit(f"backup: {error}")


if __name__ == "__main__":
    main()
