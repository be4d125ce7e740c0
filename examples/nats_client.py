"""Speaks a text over NATS alone, without the HTTP edge, by the contract of docs/wire.md.

    python examples/nats_client.py nats://127.0.0.1:4222 reference.wav en "Hello from the bus." > speech.raw

The reference is a mono 16-bit WAV of 3 to 30 s. Play the result with: aplay -f S16_LE -r 24000 speech.raw
"""

import asyncio
import hashlib
import secrets
import sys
import time
from pathlib import Path

import msgpack
import nats


async def speak(url: str, wav: bytes, language: str, text: str) -> None:
    """Publish one request and write its samples to stdout, in order, as they come."""
    bus = await nats.connect(url)
    jetstream = bus.jetstream()
    clip, request = hashlib.sha256(wav).hexdigest(), secrets.token_hex(16)
    await (await jetstream.object_store("TTS_CLIPS")).put(f"public/{clip}", wav)

    events = await bus.subscribe(f"tts.v1.audio.public.{request}.>")  # before the request, so that nothing is missed
    command = {"type": "SpeechRequest", "request": request, "tenant": "public", "engine": "embedded",
               "language": language, "text": text, "clips": [clip], "seed": 1,
               "deadline_unix_ms": int((time.time() + 300) * 1000)}  # fmt: skip
    own = {"Nats-Msg-Id": f"request.public.{request}"}  # holds the tenant, as all tenants share the stream
    await jetstream.publish("tts.v1.request.public", msgpack.packb(command), headers=own)

    chunks: dict[tuple[int, int], bytes] = {}
    counts: dict[int, int] = {}  # sentence -> how many chunks it has, once it is spoken
    sentences, sentence, chunk = sys.maxsize, 0, 0
    while sentence < sentences:
        event = msgpack.unpackb((await events.next_msg(timeout=60)).data)
        if event["type"] == "SpeechFailed":
            sys.exit(f"{event['code']}: {event['detail']}")
        if event["type"] == "AudioChunk":
            chunks[event["sentence"], event["chunk"]] = event["pcm"]
        if event["type"] == "SentenceSpoken":
            counts[event["sentence"]], sentences = event["chunks"], event["sentences"]
        while (sentence, chunk) in chunks or chunk == counts.get(sentence):
            if chunk == counts.get(sentence):
                sentence, chunk = sentence + 1, 0
            else:
                sys.stdout.buffer.write(chunks.pop((sentence, chunk)))
                chunk += 1
    await bus.close()


if __name__ == "__main__":
    asyncio.run(speak(sys.argv[1], Path(sys.argv[2]).read_bytes(), sys.argv[3], sys.argv[4]))
