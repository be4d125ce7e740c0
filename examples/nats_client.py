"""Speaks a text over NATS alone, without HTTP, by the contract of docs/wire.md.

    python examples/nats_client.py nats://127.0.0.1:4222 reference.wav en "Hello from the bus." > speech.raw

The reference is 6 to 30 s of one person speaking, in any usual format. `voice=Anna` in its place names a stored voice
(nats_voices.py) or a built-in one, and `voice=` alone is the default voice of the language. Play the result with:
aplay -f S16_LE -r 24000 speech.raw. Ctrl-C cancels the request. The engine is one that is ready for the language; to
choose it, set ENGINE. As a tenant of a NATS that has users (docs/deploy.md), add TENANT=acme
NATS_NKEY_SEED_FILE=tenant-acme.seed NATS_CA_FILE=ca.crt to the environment.
"""

import asyncio
import os
import secrets
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import msgpack
import nats
from nats.aio.client import Client
from nats.aio.subscription import Subscription

TENANT = os.environ.get("TENANT", "public")
WORKERS_WAIT_S = 3.5  # a worker that sends no heartbeat for that long has stopped


def access() -> dict[str, Any]:
    """Return the connection options: credentials and TLS."""
    options: dict[str, Any] = {}
    if seed := os.environ.get("NATS_NKEY_SEED_FILE"):
        options = {"nkeys_seed": seed, "inbox_prefix": f"_INBOX_tenant-{TENANT}".encode()}
    if certificate := os.environ.get("NATS_CA_FILE"):
        options["tls"] = ssl.create_default_context(cafile=certificate)
    return options


async def engine_for(bus: Client, language: str) -> str:
    """Return the engine of a worker that is ready for the language; exit if there is none."""
    beats = await bus.subscribe("tts.v1.worker.*.*")
    try:
        async with asyncio.timeout(WORKERS_WAIT_S):
            async for beat in beats.messages:
                worker = msgpack.unpackb(beat.data)
                if worker["state"] == "ready" and language[:2].lower() in worker["languages"]:
                    engine: str = worker["engine"]
                    return engine
    except TimeoutError:
        pass
    finally:
        await beats.unsubscribe()
    sys.exit(f"no worker is ready for the language {language}")


async def store_clip(bus: Client, recording: bytes) -> str:
    """Store a recording as a reference clip and return its id; exit if it is refused."""
    command = msgpack.packb({"type": "StoreClip", "tenant": TENANT, "audio": recording})
    stored = msgpack.unpackb(
        (await bus.request(f"tts.v1.clip.{TENANT}", command, timeout=120)).data
    )
    if stored["type"] == "ClipRefused":
        sys.exit(f"{stored['code']}: {stored['detail']}")
    clip: str = stored["clip"]
    return clip


def read(path: str) -> bytes:
    """Return a file's bytes."""
    return Path(path).read_bytes()


async def speaker(bus: Client, reference: str) -> dict[str, Any]:
    """Return the fields of the request for its speaker: a voice, or clips of a recording."""
    before, found, voice = reference.partition("voice=")
    if found and not before:
        return {"voice": voice} if voice else {}
    return {"clips": [await store_clip(bus, read(reference))]}


async def speak(url: str, reference: str, language: str, text: str) -> None:
    """Publish one request and write its samples to stdout, in order, as they come."""
    bus = await nats.connect(url, **access())
    engine = os.environ.get("ENGINE") or await engine_for(bus, language)
    spoken_by = await speaker(bus, reference)

    request = secrets.token_hex(16)
    events = await bus.subscribe(
        f"tts.v1.audio.{TENANT}.{request}.>"
    )  # before the request, so that nothing is missed
    command = {"type": "SpeechRequest", "request": request, "tenant": TENANT, "engine": engine,
               "language": language, "text": text, **spoken_by, "seed": 1,
               "deadline_unix_ms": int((time.time() + 300) * 1000)}  # fmt: skip
    own = {
        "Nats-Msg-Id": f"request.{TENANT}.{request}"
    }  # holds the tenant, as all tenants share the stream
    await bus.jetstream().publish(
        f"tts.v1.request.{TENANT}", msgpack.packb(command), headers=own, timeout=10
    )

    try:
        await write_samples(events)
    except asyncio.CancelledError:  # Ctrl-C
        cancel = {"type": "CancelSpeech", "request": request, "tenant": TENANT, "reason": "Ctrl-C"}
        await bus.publish(f"tts.v1.cancel.{TENANT}.{request}", msgpack.packb(cancel))
        await bus.flush()
        sys.exit("cancelled")
    finally:
        await bus.close()


async def write_samples(events: Subscription) -> None:
    """Write the samples of a request to stdout; exit if it fails."""
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


if __name__ == "__main__":
    asyncio.run(speak(*sys.argv[1:5]))
