"""Speak through wyoming_openai: `python wyoming_speech.py URI VOICE TEXT`. Prints one JSON object."""

import asyncio
import hashlib
import json
import sys
from typing import Any

from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Eventable
from wyoming.info import Describe, Info
from wyoming.tts import (
    Synthesize,
    SynthesizeChunk,
    SynthesizeStart,
    SynthesizeStop,
    SynthesizeStopped,
    SynthesizeVoice,
)

START_S = 30


async def described(uri: str) -> list[dict[str, Any]]:
    """Return the voices of a server that has perhaps just been started."""
    async with asyncio.timeout(START_S):
        while True:
            try:
                async with AsyncClient.from_uri(uri) as client:
                    await client.write_event(Describe().event())
                    event = await client.read_event()
                    if event is None:
                        raise ConnectionResetError("closed before it described itself")
                    return [
                        {"name": voice.name, "languages": voice.languages}
                        for program in Info.from_event(event).tts
                        for voice in program.voices
                    ]
            except ConnectionError:
                await asyncio.sleep(0.1)


async def spoken(uri: str, *events: Eventable, until: type) -> dict[str, Any]:
    """Return the audio that events lead to, up to an event of the type `until`."""
    pcm = b""
    rates: set[int] = set()
    async with AsyncClient.from_uri(uri) as client:
        for event in events:
            await client.write_event(event.event())
        while (received := await client.read_event()) is not None:
            if AudioStart.is_type(received.type):
                rates.add(AudioStart.from_event(received).rate)
            elif AudioChunk.is_type(received.type):
                pcm += AudioChunk.from_event(received).audio
            if until.is_type(received.type):
                break
    return {"sha256": hashlib.sha256(pcm).hexdigest(), "bytes": len(pcm), "rates": sorted(rates)}


async def main(uri: str, voice: str, text: str) -> None:
    """Describe, speak in both ways, and print what came."""
    chosen = SynthesizeVoice(name=voice)
    voices = await described(uri)
    words = [SynthesizeChunk(f"{word} ") for word in text.split(" ")]
    found = {
        "voices": voices,
        "whole": await spoken(uri, Synthesize(text=text, voice=chosen), until=AudioStop),
        "streamed": await spoken(
            uri,
            SynthesizeStart(voice=chosen),
            *words,
            SynthesizeStop(),
            until=SynthesizeStopped,
        ),
    }
    print(json.dumps(found))


asyncio.run(main(*sys.argv[1:]))
