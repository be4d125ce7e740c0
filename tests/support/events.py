"""Server-sent events, as a client reads them."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp


@dataclass
class Event:
    name: str = ""
    number: str = ""
    data: dict[str, Any] = field(default_factory=dict)


async def events_of(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    """Yield server-sent events until the stream ends."""
    event = Event()
    async for line in response.content:
        name, _, value = line.decode().strip().partition(": ")
        if name == "event":
            event.name = value
        elif name == "id":
            event.number = value
        elif name == "data":
            event.data = json.loads(value)
        elif not name and event.name:
            yield event
            event = Event()
