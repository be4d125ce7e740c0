"""Stores voices over NATS, lists and deletes them, by the contract of docs/wire.md.

    python examples/nats_voices.py nats://127.0.0.1:4222 create Anna reference.wav "Anna Weber"
    python examples/nats_client.py nats://127.0.0.1:4222 voice=Anna en "Hello from the bus." > speech.raw
    python examples/nats_voices.py nats://127.0.0.1:4222 list
    python examples/nats_voices.py nats://127.0.0.1:4222 delete Anna

The last argument of `create` is the name of the speaker, who consents to the use of the recording. As a tenant of a
NATS that has users, set the environment as for nats_client.py.
"""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import msgpack
import nats
from nats.aio.client import Client
from nats_client import TENANT, access, read, store_clip


async def ask(bus: Client, kind: str, **fields: Any) -> dict[str, Any]:
    """Send a command about voices and return the reply; exit if it is refused."""
    command = msgpack.packb({"type": kind, "tenant": TENANT, **fields})
    message = await bus.request(f"tts.v1.voice.{TENANT}", command, timeout=60)
    reply: dict[str, Any] = msgpack.unpackb(message.data)
    if reply["type"] == "VoiceRefused":
        sys.exit(f"{reply['code']}: {reply['detail']}")
    return reply


async def create(bus: Client, name: str, recording: str, speaker: str) -> None:
    """Store a recording as a voice."""
    clip = await store_clip(bus, read(recording))
    consent = {
        "speaker": speaker,
        "statement": "my voice may be cloned to speak texts",
        "date": datetime.now(UTC).date().isoformat(),
        "method": "written",
    }
    reply = await ask(bus, "CreateVoice", name=name, clips=[clip], consent=consent)
    print(reply["voice"]["voice"], name)


async def show(bus: Client) -> None:
    """Print all voices, page by page."""
    after = None
    while True:
        page = await ask(bus, "ListVoices", limit=100, after=after)
        for voice in page["builtin"]:
            print("builtin", voice["name"])
        for voice in page["voices"]:
            print(voice["voice"], voice["name"])
        after = page["next"]
        if after is None:
            return


async def main(url: str, action: str, *arguments: str) -> None:
    """Carry out one action."""
    bus = await nats.connect(url, **access())
    match action:
        case "create":
            await create(bus, *arguments)
        case "list":
            await show(bus)
        case "delete":
            print("deleted", (await ask(bus, "DeleteVoice", voice=arguments[0]))["voice"])
        case _:
            sys.exit("the action is create, list or delete")
    await bus.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
