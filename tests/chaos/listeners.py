"""Clients of a service under test: each asks for one text over HTTP and compares every sample."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Final, Literal

import aiohttp

from tests.support.recordings import encoded, speech_of
from tests.support.service import expected_pcm
from tests.support.wav import pcm_of

LONGEST_SENTENCE: Final = 250  # characters, of the tone engine
_TRIES: Final = 40
_PAUSE_S: Final = 0.5
_WORDS: Final = (
    "the river under old bridges carries lamps and letters to a slow sea where nobody waits"
)
VOICE: Final = encoded(speech_of(7).samples, 24_000)

Outcome = Literal["whole", "wrong", "cut", "refused"]


@dataclass(frozen=True)
class Order:
    """One text to be spoken."""

    endpoint: str
    text: str
    seed: int


@dataclass
class Tally:
    """The results of the clients."""

    whole: int = 0
    wrong: int = 0  # every byte came, but not the expected ones
    cut: int = 0  # the answer broke off, visibly
    refused: int = 0  # every try was refused
    tries_refused: int = 0  # with 429 or 503, before anything was promised
    faults: list[str] = field(default_factory=list)  # of what is not whole: seed and reason

    @property
    def orders(self) -> int:
        """Return how many came to an end."""
        return self.whole + self.wrong + self.cut + self.refused

    def note(self, order: Order, outcome: Outcome, why: str) -> None:
        """Count an order."""
        setattr(self, outcome, getattr(self, outcome) + 1)
        if outcome != "whole":
            self.faults.append(f"{order.endpoint} seed {order.seed}: {outcome} {why}")

    async def until_more_are_whole(self, count: int) -> None:
        """Wait until `count` more streams came whole, however slow the machine is; fails after a minute."""
        enough = self.whole + count
        async with asyncio.timeout(60):
            while self.whole < enough:
                await asyncio.sleep(0.05)


def order_of(draw: random.Random) -> Order:
    """Draw an order: one to six sentences, on either endpoint."""
    sentences = [
        " ".join(draw.choices(_WORDS.split(), k=draw.randint(3, 14))).capitalize() + "."
        for _ in range(draw.randint(1, 6))
    ]
    return Order(draw.choice(["stream", "synthesize"]), " ".join(sentences), draw.getrandbits(62))


async def listen(session: aiohttp.ClientSession, address: str, order: Order, tally: Tally) -> None:
    """Place an order until it is taken, hear it out, and compare every sample."""
    for _ in range(_TRIES):
        answer = await _heard(session, address, order)
        if isinstance(answer, int):
            tally.tries_refused += 1
            await asyncio.sleep(_PAUSE_S)
            continue
        if isinstance(answer, str):
            tally.note(order, "cut", answer)
            return
        owed = expected_pcm(order.text, seed=order.seed, max_characters=LONGEST_SENTENCE)
        tally.note(order, "whole" if answer == owed else "wrong", _difference(answer, owed))
        return
    tally.note(order, "refused", "at every try")


async def _heard(session: aiohttp.ClientSession, address: str, order: Order) -> bytes | int | str:
    """Return the PCM, the status of a refusal that invites to come back, or why the answer is not whole."""
    form = aiohttp.FormData({"text": order.text, "language": "en", "seed": str(order.seed)})
    form.add_field("reference_audio", VOICE, filename="voice.wav")
    began_s = time.monotonic()
    try:
        async with session.post(f"{address}/{order.endpoint}", data=form) as response:
            body = await response.read()
            if response.status == 200:
                return pcm_of(body)
            if response.status in (429, 503):
                return response.status
            return f"status {response.status}: {body[:300].decode(errors='replace')}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"after {time.monotonic() - began_s:.1f} s: {type(error).__name__}"


def _difference(heard: bytes, owed: bytes) -> str:
    place = next(
        (place for place, pair in enumerate(zip(heard, owed, strict=False)) if pair[0] != pair[1]),
        None,
    )
    return f"{len(heard)} bytes for {len(owed)}, first difference at {place}"
