"""`python -m benchmarks.speed.peer WEIGHTS VOICES`: kokoro-onnx as a server of lines, for `python -m benchmarks.speed`.

Runs where kokoro-onnx is installed. Reads JSON texts from the standard input, synthesizes each, and answers with a line
of JSON: seconds to the first audio, seconds in all, processor seconds, seconds of audio.
"""

import asyncio
import json
import sys
import time

import numpy as np
from kokoro_onnx import Kokoro

_VOICE = "af_heart"


async def speak(kokoro: Kokoro, text: str) -> dict[str, float]:
    """Synthesize a text as kokoro-onnx streams it, and return the times."""
    begun, used = time.perf_counter(), time.process_time()
    first = 0.0
    parts = []
    async for samples, _ in kokoro.create_stream(text, voice=_VOICE, lang="en-us"):
        first = first or time.perf_counter() - begun
        parts.append(samples)
    return {
        "first": first,
        "whole": time.perf_counter() - begun,
        "processor": time.process_time() - used,
        "audio": len(np.concatenate(parts)) / 24_000,
    }


def main() -> None:
    """Answer lines until the input ends."""
    kokoro = Kokoro(*sys.argv[1:3])
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(speak(kokoro, json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
