"""Speak with livekit-plugins-openai, unmodified: `python livekit_speech.py BASE_URL TEXT BYTES`.

Prints one JSON object, with the hashes of the first BYTES of audio: livekit adds silence at the end.
"""

import asyncio
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from livekit.agents import APIConnectOptions, APIStatusError
from livekit.agents.tts import StreamAdapter, SynthesizedAudio
from livekit.plugins import openai

BYTES = int(sys.argv[3])
ONE_ATTEMPT = APIConnectOptions(max_retry=0)


async def received(audio: AsyncIterator[SynthesizedAudio]) -> dict[str, Any]:
    """Return what a stream of frames contained."""
    frames = [each.frame async for each in audio]
    pcm = b"".join(bytes(frame.data) for frame in frames)
    return {
        "sha256": hashlib.sha256(pcm[:BYTES]).hexdigest(),
        "seconds": sum(frame.samples_per_channel / frame.sample_rate for frame in frames),
        "sample_rate": frames[0].sample_rate,
    }


async def synthesized(base_url: str, text: str, **options: Any) -> dict[str, Any]:
    """Return the audio of one `synthesize`."""
    tts = openai.TTS(base_url=base_url, api_key="unused", voice="alloy", **options)
    async with tts.synthesize(text, conn_options=ONE_ATTEMPT) as stream:
        found = await received(stream)
    await tts.aclose()
    return found


async def adapted(base_url: str, text: str) -> dict[str, Any]:
    """Return the audio of a text that arrives word by word, as an agent speaks it."""
    tts = openai.TTS(base_url=base_url, api_key="unused", voice="alloy", response_format="pcm")
    async with StreamAdapter(tts=tts).stream() as stream:
        for word in text.split(" "):
            stream.push_text(f"{word} ")
        stream.end_input()
        found = await received(stream)
    await tts.aclose()
    return found


async def refused(base_url: str) -> dict[str, Any]:
    """Return the error of a voice that does not exist."""
    tts = openai.TTS(base_url=base_url, api_key="unused", voice="zzqqxx")
    try:
        async with tts.synthesize("Hello.", conn_options=ONE_ATTEMPT) as stream:
            await received(stream)
    except APIStatusError as error:
        return {"status": error.status_code, "retryable": error.retryable}
    finally:
        await tts.aclose()
    return {}


async def main(base_url: str, text: str) -> None:
    """Speak in every way, and print what came."""
    # with its default model livekit asks for events, with tts-1 for audio
    found = {
        "events": await synthesized(base_url, text, response_format="pcm"),
        "audio": await synthesized(base_url, text, response_format="pcm", model="tts-1"),
        "mp3": await synthesized(base_url, text),
        "opus": await synthesized(base_url, text, response_format="opus"),
        "adapted": await adapted(base_url, text),
        "refused": await refused(base_url),
    }
    print(json.dumps(found))


asyncio.run(main(*sys.argv[1:3]))
