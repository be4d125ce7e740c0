"""`python -m benchmarks.xtts_memory`: GPU memory of the XTTS engine, computed from the sizes of the model.

    python -m benchmarks.xtts_memory --slots 3 16 64

The released sizes are built in; --config FILE reads those of a config.json. Not included: CUDA's context, its graphs,
and the activations of the vocoder and of prefills.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

RELEASED = {
    "gpt_layers": 30,
    "gpt_n_model_channels": 1024,
    "gpt_max_prompt_tokens": 70,
    "gpt_max_text_tokens": 402,
    "gpt_max_audio_tokens": 605,
}
PARAMETERS = 466_950_000  # of all modules of the release: 1,867,854,695 bytes of float32
BYTES = {"float32": 4, "bfloat16": 2}
MIB = 2**20


def slot_mib(sizes: dict[str, int], precision: str) -> float:
    """Return the KV cache of one slot, in MiB: keys and values of every layer, for the longest sentence."""
    positions = sum(sizes[f"gpt_max_{part}_tokens"] for part in ("prompt", "text", "audio"))
    values = sizes["gpt_layers"] * 2 * positions * sizes["gpt_n_model_channels"]
    return values * BYTES[precision] / MIB


def weights_mib(sizes: dict[str, int], precision: str) -> float:
    """Return the weights, in MiB: the transformer's blocks in the precision, once, and the rest in float32."""
    width = sizes["gpt_n_model_channels"]
    blocks = sizes["gpt_layers"] * (12 * width**2 + 13 * width)
    return (blocks * BYTES[precision] + (PARAMETERS - blocks) * 4) / MIB


def table(sizes: dict[str, int], slots: Sequence[int]) -> str:
    """Return the Markdown table."""
    lines = [
        f"| precision | weights | a slot | {' | '.join(f'{count} slots' for count in slots)} |",
        "|---" * (3 + len(slots)) + "|",
    ]
    for precision in BYTES:
        weights, slot = weights_mib(sizes, precision), slot_mib(sizes, precision)
        totals = " | ".join(f"{weights + count * slot:.0f} MiB" for count in slots)
        lines.append(f"| {precision} | {weights:.0f} MiB | {slot:.0f} MiB | {totals} |")
    return "\n".join(lines)


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.xtts_memory", description=__doc__)
    parser.add_argument("--config", type=Path, help="config.json of a checkpoint")
    parser.add_argument("--slots", type=int, nargs="+", default=[3, 16, 64])
    options = parser.parse_args()
    sizes = dict(RELEASED)
    if options.config:
        sizes |= json.loads(options.config.read_text("utf-8"))["model_args"]
    print(table(sizes, options.slots))


if __name__ == "__main__":
    main()
