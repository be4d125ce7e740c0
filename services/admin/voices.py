"""Voices of the library: `python -m services.admin voices list | show | export | import | publish | ...`.

A voice is named by its id, or its name within --tenant. Commands that erase ask first, unless --yes is given; the
limits of tenants do not apply here.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from services.admin.command_line import print_line, run_on_bus
from services.admin.latents import BadLatents, read_latents
from services.common.bus import topology
from services.common.bus.library.quota import VoiceLimits
from services.common.bus.library.voices import VoiceLibrary
from services.common.bus.ports import Bus
from services.common.voice_file import (
    MOST_FILE_BYTES,
    SUFFIX,
    draft_voice,
    pack_voice,
    unpack_voice,
)
from services.common.wire.voices import SHARED_TENANT, Voice, is_voice_id

# the operator's: only the stores themselves bound them
_UNLIMITED: Final = VoiceLimits(voices=1_000_000, clip_bytes=1024**2 * topology.MEBIBYTE)
_DAY_S: Final = 24 * 3600.0


class Refused(Exception):
    """The command was not carried out, for the reason in its message."""


@dataclass(frozen=True)
class VoiceCommands:
    """The commands, on one library. Every method returns the lines to print.

    Raises Refused, PipelineError.
    """

    library: VoiceLibrary
    confirm: Callable[[str], Awaitable[bool]]  # whether to erase what it lists

    async def list_voices(self, choice: argparse.Namespace) -> list[str]:
        """List the voices of one tenant or all, in whatever state, oldest first."""
        voices = [
            voice for tenant in await self._tenants(choice) for voice in await self._all(tenant)
        ]
        return [_line(voice) for voice in voices] or ["No voices."]

    async def show(self, choice: argparse.Namespace) -> list[str]:
        """Show everything that is stored about a voice, except its clips, as JSON."""
        voice = await self._voice(choice)
        return [msgspec.json.format(msgspec.json.encode(voice), indent=2).decode()]

    async def export(self, choice: argparse.Namespace) -> list[str]:
        """Write a voice with its clips to a new file that only its owner can read."""
        voice = await self._voice(choice)
        wavs = await self.library.clips(voice)
        if choice.computed:
            computed = await self.library.portable(voice)
        else:
            computed = await self.library.computed(voice)
        if choice.computed and not computed:
            raise Refused("no engine with portable voices has computed this voice")
        content = pack_voice(voice, wavs, computed)
        path: Path = choice.file or Path(voice.voice + SUFFIX)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(content)
        return [f"Wrote {path}, {len(content):,} bytes."]

    async def import_file(self, choice: argparse.Namespace) -> list[str]:
        """Create a voice from a file."""
        with choice.file.open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
        draft, wavs, computed = unpack_voice(content, choice.tenant)
        voice = await self.library.create(_renamed(draft, choice.name), wavs, computed)
        return [f"Created {voice.voice}."]

    async def import_latents(self, choice: argparse.Namespace) -> list[str]:
        """Create a voice without recordings from latents of XTTS, in JSON or safetensors."""
        try:
            computed = read_latents(choice.file, speaker=choice.speaker, model=choice.model)
        except BadLatents as error:
            raise Refused(str(error)) from None
        draft = _renamed(draft_voice(choice.tenant, "latents", [computed]), choice.name)
        voice = await self.library.create(draft, [], [computed])
        return [f"Created {voice.voice}."]

    async def publish(self, choice: argparse.Namespace) -> list[str]:
        """Copy a tenant's voice, with its consent, to the voices that all tenants can use."""
        voice = await self._voice(choice)
        if voice.consent is None and not choice.without_consent:
            raise Refused(
                "the voice has no consent on record; record it (PATCH /voices/ID), or add "
                "--without-consent"
            )
        draft = msgspec.structs.replace(voice, tenant=SHARED_TENANT, uploaded_by="", leftovers=())
        wavs = await self.library.clips(voice)
        computed = await self.library.computed(voice)
        shared = await self.library.create(_renamed(draft, choice.name), wavs, computed)
        return [f"Published as {shared.voice}; the tenant's own voice is unchanged."]

    async def delete(self, choice: argparse.Namespace) -> list[str]:
        """Erase a tenant's voice, or with --all each of them, and everything that was made of it."""
        if choice.all == (choice.voice is not None):
            raise Refused("name one voice, or add --all")
        if choice.all:
            return await self._erase(await self._all(choice.tenant))
        if is_voice_id(choice.voice):  # in whatever state
            found = [each for each in await self._all(choice.tenant) if each.voice == choice.voice]
            return await self._erase(found)
        return await self._erase([await self._voice(choice)])

    async def unpublish(self, choice: argparse.Namespace) -> list[str]:
        """Erase a voice from those that all tenants can use."""
        return await self._erase([await self.library.require(SHARED_TENANT, choice.voice)])

    async def expire(self, choice: argparse.Namespace) -> list[str]:
        """Erase the voices of one tenant or all that were not changed for so many days."""
        if not choice.older_than > 0:
            raise Refused("--older-than must be over 0 days")
        before_ms = (time.time() - choice.older_than * _DAY_S) * 1000
        tenants = [
            tenant
            for tenant in await self._tenants(choice)
            if tenant != SHARED_TENANT or choice.tenant == SHARED_TENANT
        ]
        voices = [voice for tenant in tenants for voice in await self._all(tenant)]
        return await self._erase([voice for voice in voices if voice.changed_unix_ms < before_ms])

    async def sweep(self, choice: argparse.Namespace) -> list[str]:
        """Finish changes and deletions that a crash interrupted more than 10 minutes ago."""
        tenants = await self._tenants(choice)
        erased = [voice for tenant in tenants for voice in await self.library.sweep(tenant)]
        return [f"Swept {len(tenants)} tenants; erased {len(erased)} unfinished voices."]

    async def _erase(self, voices: Sequence[Voice]) -> list[str]:
        """Erase voices once that is confirmed."""
        if not voices:
            return ["No voices to erase."]
        listed = "\n".join(_line(voice) for voice in voices)
        if not await self.confirm(f"{listed}\nErase {len(voices)} of these for good? [y/N] "):
            raise Refused("nothing was erased")
        erased = [await self.library.delete(voice.tenant, voice.voice) for voice in voices]
        return [f"Erased {sum(erased)}."]

    async def _voice(self, choice: argparse.Namespace) -> Voice:
        return await self.library.require(choice.tenant, choice.voice)

    async def _all(self, tenant: str) -> list[Voice]:
        return await self.library.all(tenant)

    async def _tenants(self, choice: argparse.Namespace) -> list[str]:
        return [choice.tenant] if choice.tenant else await self.library.tenants()


def _renamed(draft: Voice, name: str | None) -> Voice:
    """Return the draft with another name. Raises Refused if it is not a name."""
    if name is None:
        return draft
    try:
        return msgspec.convert(msgspec.to_builtins(draft) | {"name": name}, Voice)
    except msgspec.ValidationError:
        raise Refused(
            "--name must be 1 to 64 characters without control characters, /, : and @"
        ) from None


def _line(voice: Voice) -> str:
    changed = datetime.fromtimestamp(voice.changed_unix_ms / 1000, UTC)
    fields = (
        voice.voice,
        voice.tenant,
        voice.state,
        f"revision {voice.revision}",
        f"{len(voice.clips)} clips",
        f"{voice.audio_s:.1f} s",
        voice.language or "--",
        changed.isoformat(timespec="seconds"),
        voice.name,
    )
    return "  ".join(fields)


async def _always(_question: str) -> bool:
    return True


async def _ask(question: str) -> bool:
    """Return whether the answer on stdin is yes. Raises Refused if there is no terminal."""
    if not sys.stdin.isatty():
        raise Refused("stdin is not a terminal; add --yes to erase without a question")
    answer = await asyncio.to_thread(input, question)
    return answer.strip().lower() in {"y", "yes"}


async def _run(choice: argparse.Namespace, bus: Bus) -> None:
    confirm = _always if getattr(choice, "yes", False) else _ask
    commands = VoiceCommands(VoiceLibrary(bus, _UNLIMITED), confirm)
    for line in await choice.act(commands, choice):
        print_line(line)


def parser() -> argparse.ArgumentParser:
    """Return the parser; it sets `act`, a method of `VoiceCommands`."""
    whole = argparse.ArgumentParser(prog="python -m services.admin voices", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)

    def add(
        name: str, act: object, *, tenant: bool | None, erases: bool = False
    ) -> argparse.ArgumentParser:
        """Add a command; `tenant`: whether --tenant is required, None if there is none."""
        help_ = (act.__doc__ or "").splitlines()[0]
        command = commands.add_parser(name, help=help_, description=help_)
        command.set_defaults(act=act)
        if tenant is not None:
            command.add_argument(
                "--tenant",
                required=tenant,
                help="whose; not given: all tenants" if not tenant else "whose",
            )
        if erases:
            command.add_argument("--yes", action="store_true", help="do not ask")
        return command

    add("list", VoiceCommands.list_voices, tenant=False)
    add("show", VoiceCommands.show, tenant=True).add_argument("voice")
    exporting = add("export", VoiceCommands.export, tenant=True)
    exporting.add_argument("voice")
    exporting.add_argument("file", type=Path, nargs="?", help=f"default: ID{SUFFIX}")
    exporting.add_argument(
        "--computed", action="store_true", help="with what engines computed of it"
    )
    importing = add("import", VoiceCommands.import_file, tenant=True)
    importing.add_argument("file", type=Path)
    importing.add_argument("--name", help="instead of the one in the file")
    latents = add("import-latents", VoiceCommands.import_latents, tenant=True)
    latents.add_argument("file", type=Path, help="JSON or .safetensors")
    latents.add_argument("--name", required=True)
    latents.add_argument("--speaker", help="of a file with several")
    latents.add_argument("--model", default="", help="the engine's name of it; default: unknown")
    publishing = add("publish", VoiceCommands.publish, tenant=True)
    publishing.add_argument("voice")
    publishing.add_argument("--name", help="instead of the tenant's name for it")
    publishing.add_argument("--without-consent", action="store_true")
    add("unpublish", VoiceCommands.unpublish, tenant=None, erases=True).add_argument("voice")
    deleting = add("delete", VoiceCommands.delete, tenant=True, erases=True)
    deleting.add_argument("voice", nargs="?")
    deleting.add_argument("--all", action="store_true", help="every voice of the tenant")
    expiring = add("expire", VoiceCommands.expire, tenant=False, erases=True)
    expiring.add_argument("--older-than", type=float, required=True, metavar="DAYS")
    add("sweep", VoiceCommands.sweep, tenant=False)
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line on the server at NATS_URL."""
    choice = parser().parse_args(arguments)
    run_on_bus(
        "voices", partial(_run, choice), Refused, OSError, EOFError, may_create_streams=False
    )


if __name__ == "__main__":
    main()
