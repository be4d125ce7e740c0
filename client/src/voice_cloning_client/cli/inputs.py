"""The client and the text of a command."""

import argparse
import asyncio
import sys
from dataclasses import replace

from voice_cloning_client.cli.terminal import say
from voice_cloning_client.client import AsyncClient
from voice_cloning_client.errors import InvalidInput
from voice_cloning_client.settings import Timeouts, key_in_file
from voice_cloning_client.speech import Value


def client_of(options: argparse.Namespace) -> AsyncClient:
    """Return the client of the chosen service. Raises InvalidInput."""
    key = key_in_file(options.api_key_file) if options.api_key_file else None
    return AsyncClient(options.server, api_key=key, timeouts=timeouts_of(options))


def timeouts_of(options: argparse.Namespace) -> Timeouts:
    """Return the chosen limits."""
    if options.timeout is None:
        return Timeouts()
    return replace(Timeouts(), first_audio_s=options.timeout)


async def text_of(options: argparse.Namespace) -> str:
    """Return the text: the argument, or stdin if it is a hyphen. Raises InvalidInput."""
    if options.text != "-":
        return str(options.text)

    if sys.stdin is None:
        raise InvalidInput("stdin is closed; pipe the text, or send it as the argument")

    if sys.stdin.isatty():
        say("reading the text from the terminal; end it with Ctrl-D")

    content: bytes = await asyncio.to_thread(sys.stdin.buffer.read)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"the text on stdin is not UTF-8 at byte {error.start}; convert it, for example with iconv"
        ) from None


def speech_options(options: argparse.Namespace) -> dict[str, Value]:
    """Return the further fields of a request."""
    fields: dict[str, Value] = {}
    if options.speed is not None:
        fields["speed"] = options.speed
    if options.ssml:
        fields["text_type"] = "ssml"
    return fields
