"""The commands `speak`, `stream`, `provenance` and `languages`."""

import argparse
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

from voice_cloning_client.audio import AudioInfo, format_of_file
from voice_cloning_client.cli.inputs import client_of, speech_options, text_of, timeouts_of
from voice_cloning_client.cli.terminal import AudioOut, Progress, say, show, show_table
from voice_cloning_client.files import NewFile

_BYTES_PER_SAMPLE = 2


class AudioSource(Protocol):
    """Audio as it arrives, over HTTP or NATS."""

    info: AudioInfo

    def __aiter__(self) -> "AudioSource": ...
    async def __anext__(self) -> bytes: ...


async def speak(options: argparse.Namespace) -> None:
    """Write the audio of a text to a file or to stdout."""
    to_stdout = options.output == "-"
    chosen = options.format or ("wav" if to_stdout else format_of_file(options.output).name)
    text = await text_of(options)

    async with _source(options, text, chosen) as source:
        if to_stdout:
            await _to_stdout(source, options)
        else:
            await _to_file(source, options, chosen)

    for name, note in (
        ("recording", source.info.warnings),
        ("text left out", source.info.left_out),
    ):
        if note:
            say(f"voice-cloning: {name}: {note}")


async def provenance(options: argparse.Namespace) -> None:
    """Show where a recording comes from, as JSON."""
    async with client_of(options) as client:
        answer = await client.provenance(options.file, until=options.until)
    show(json.dumps(answer, indent=2, ensure_ascii=False))


async def languages(options: argparse.Namespace) -> None:
    """List the supported languages."""
    async with client_of(options) as client:
        show_table(list((await client.languages()).items()))


@asynccontextmanager
async def _source(
    options: argparse.Namespace, text: str, chosen: str
) -> AsyncGenerator[AudioSource, None]:
    if options.nats:
        from voice_cloning_client.cli.bus_source import bus_source  # noqa: PLC0415  # an extra

        async with bus_source(options, text, chosen, timeouts_of(options)) as source:
            yield source
        return

    async with (
        client_of(options) as client,
        client.stream(
            text,
            voice=options.voice,
            language=options.language,
            format=chosen,
            sample_rate=options.sample_rate,
            seed=options.seed,
            clips=options.clip,
            idempotency_key=None,
            **speech_options(options),
        ) as stream,
    ):
        yield stream


async def _to_stdout(source: AudioSource, options: argparse.Namespace) -> None:
    out = AudioOut()
    with Progress("streaming", shown=not options.quiet) as progress:
        received = 0
        async for block in source:
            out.write(block)
            received += len(block)
            progress.show(f"{received / 1000:.0f} kB")


async def _to_file(source: AudioSource, options: argparse.Namespace, chosen: str) -> None:
    with NewFile(options.output) as file, Progress("speaking", shown=not options.quiet) as progress:
        received = 0
        async for block in source:
            file.write(block)
            received += len(block)
            progress.show(_amount(received, source.info, chosen))

        if chosen == "wav":
            file.set_wav_sizes()
        file.keep()


def _amount(received: int, info: AudioInfo, chosen: str) -> str:
    if chosen in ("wav", "pcm") and info.sample_rate_hz:
        return f"{received / _BYTES_PER_SAMPLE / info.sample_rate_hz:.1f} s of audio"
    return f"{received / 1000:.0f} kB"
