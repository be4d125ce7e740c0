"""The commands `voices ...`."""

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime

from voice_cloning_client.cli.inputs import client_of
from voice_cloning_client.cli.terminal import AudioOut, say, show, show_table
from voice_cloning_client.errors import InvalidInput
from voice_cloning_client.files import NewFile
from voice_cloning_client.voices import Consent, Voice


async def list_voices(options: argparse.Namespace) -> None:
    """List all voices."""
    async with client_of(options) as client:
        voices = client.voices.list(
            language=options.language, query=options.query, kind=options.kind
        )
        show_table(
            [
                [voice.id, voice.name, voice.kind, voice.language or " ".join(voice.languages)]
                async for voice in voices
            ]
        )


async def add(options: argparse.Namespace) -> None:
    """Store a voice."""
    consent = _consent(options)
    async with client_of(options) as client:
        voice = await client.voices.create(
            options.name,
            options.clip,
            consent=consent,
            language=options.language,
            description=options.description,
        )
    _show_stored(voice)


def _consent(options: argparse.Namespace) -> Consent | None:
    if options.speaker is None and options.statement is None:
        return None
    if not options.speaker or not options.statement:
        raise InvalidInput("consent needs both --speaker and --statement")

    date = options.date or datetime.now(UTC).date().isoformat()
    return Consent(options.speaker, options.statement, date, options.method)


async def import_voice(options: argparse.Namespace) -> None:
    """Store a voice from an exported file."""
    async with client_of(options) as client:
        _show_stored(await client.voices.import_(options.file))


async def show_voice(options: argparse.Namespace) -> None:
    """Show a voice as JSON."""
    async with client_of(options) as client:
        _show_voice(await client.voices.get(options.voice))


async def rename(options: argparse.Namespace) -> None:
    """Give a voice another name."""
    async with client_of(options) as client:
        _show_voice(await client.voices.rename(options.voice, options.name))


async def delete(options: argparse.Namespace) -> None:
    """Erase a voice."""
    async with client_of(options) as client:
        await client.voices.delete(options.voice)


async def preview(options: argparse.Namespace) -> None:
    """Write a short sentence in a voice to a file or to stdout."""
    out = AudioOut() if options.output == "-" else None

    async with client_of(options) as client:
        content = await client.voices.preview(options.voice, language=options.language)

    if out is not None:
        out.write(content)
    else:
        _save(options.output, content)


async def export(options: argparse.Namespace) -> None:
    """Write a voice and its recordings to a file."""
    async with client_of(options) as client:
        _save(options.output, await client.voices.export(options.voice, computed=options.computed))


def _save(path: str, content: bytes) -> None:
    with NewFile(path) as file:
        file.write(content)
        file.keep()


def _show_stored(voice: Voice) -> None:
    for warning in voice.warnings:
        say(f"voice-cloning: recording: {warning}")
    show(voice.id)


def _show_voice(voice: Voice) -> None:
    shown = {name: value for name, value in asdict(voice).items() if value or name == "revision"}
    show(json.dumps(shown, ensure_ascii=False, indent=2))
