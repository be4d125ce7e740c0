"""Latents of XTTS as other servers export them: read into a computed voice.

Two formats are read: JSON with `gpt_cond_latent` and `speaker_embedding` as lists of numbers, nested in any way, as
coqui's xtts-streaming-server and xtts-api-server write it; and safetensors with tensors of these names. A JSON file can
also map the names of speakers to such objects. Files in torch's format need torch to be read: `python -m
services.synth_worker.engines.xtts` makes voice files of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.common.voice_tensors import VoiceTensors, pack_tensors, unpack_tensors
from services.common.wire.failures import MalformedMessage

_ENGINE: Final = "xtts"
_PROMPT: Final = "gpt_cond_latent"
_EMBEDDING: Final = "speaker_embedding"
_PROMPT_LENGTH: Final = 32
_EMBEDDING_SIZE: Final = 512
_MOST_FILE_BYTES: Final = (
    128 * 1024 * 1024
)  # the 58 speakers of the release take 40 million as JSON
_ADVICE: Final = f"send {_PROMPT}, 32 x the model's width, and {_EMBEDDING}, 512 numbers"


class BadLatents(Exception):
    """The file cannot be used, for the reason in the message."""


def read_latents(path: Path, *, speaker: str | None, model: str) -> bytes:
    """Return the computed voice in a file. Raises BadLatents, OSError."""
    if path.stat().st_size > _MOST_FILE_BYTES:
        raise BadLatents(f"{path} has more than {_MOST_FILE_BYTES:,} bytes")
    content = path.read_bytes()
    try:
        if path.suffix == ".safetensors":
            return _converted(_of_safetensors(content), model)
        return _converted(_of_json(content, speaker), model)
    except MalformedMessage as error:
        raise BadLatents(f"{path}: {error}") from None


def _converted(latents: dict[str, NDArray[np.float32]], model: str) -> bytes:
    prompt = latents[_PROMPT].reshape(-1)
    embedding = latents[_EMBEDDING].reshape(-1)
    if embedding.size != _EMBEDDING_SIZE or not prompt.size or prompt.size % _PROMPT_LENGTH:
        raise BadLatents(
            f"{_PROMPT} has {prompt.size} and {_EMBEDDING} {embedding.size} numbers; {_ADVICE}"
        )
    tensors = {
        _PROMPT: prompt.reshape(1, _PROMPT_LENGTH, -1),
        _EMBEDDING: embedding.reshape(1, _EMBEDDING_SIZE, 1),
    }
    computed = pack_tensors(VoiceTensors(_ENGINE, model, tensors))
    unpack_tensors(computed)  # refuses what is not finite, and a model that is not a name
    return computed


def _of_safetensors(content: bytes) -> dict[str, NDArray[np.float32]]:
    tensors = dict(unpack_tensors(content, engine=_ENGINE).tensors)
    if not {_PROMPT, _EMBEDDING} <= tensors.keys():
        raise BadLatents(f"the file lacks {_PROMPT} or {_EMBEDDING}; {_ADVICE}")
    return tensors


def _of_json(content: bytes, speaker: str | None) -> dict[str, NDArray[np.float32]]:
    try:
        given = msgspec.json.decode(content, type=dict[str, Any])
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        raise BadLatents(
            "the file is not a JSON object; convert a .pth file with "
            "python -m services.synth_worker.engines.xtts"
        ) from None
    if _PROMPT not in given:
        given = _chosen(given, speaker)
    return {name: _numbers(given.get(name), name) for name in (_PROMPT, _EMBEDDING)}


def _chosen(speakers: dict[str, Any], speaker: str | None) -> dict[str, Any]:
    named = {name: each for name, each in speakers.items() if isinstance(each, dict)}
    if speaker is None and len(named) == 1:
        return next(iter(named.values()))
    if speaker not in named:
        raise BadLatents(
            f"the file has {len(named)} speakers; select one with --speaker: "
            + ", ".join(sorted(named)[:100])
        )
    return named[speaker]


def _numbers(nested: object, name: str) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # infinity is refused later
            return np.fromiter(_flat(nested, depth=4), dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        raise BadLatents(f"{name} is not a list of numbers; {_ADVICE}") from None


def _flat(nested: object, *, depth: int) -> Iterator[float]:
    """Yield the numbers in nested lists. Raises TypeError for anything else."""
    if isinstance(nested, bool) or not isinstance(nested, int | float | list):
        raise TypeError
    if not isinstance(nested, list):
        yield float(nested)
        return
    if not depth:
        raise TypeError
    for each in nested:
        yield from _flat(each, depth=depth - 1)
