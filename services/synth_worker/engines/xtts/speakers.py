"""The studio speakers of the release: voices that its authors computed, in `speakers_xtts.pth`.

The file maps each speaker's name to `gpt_cond_latent`, the decoder's prompt (float32 [1, 32, width]), and
`speaker_embedding` (float32 [1, 512, 1]). A file of one speaker contains
these two alone. The file is optional, and no code in it is run.
"""

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import structlog
import torch
from torch import Tensor

from services.common.wire.failures import EngineUnavailable
from services.common.wire.fields import VoiceName
from services.common.wire.parts import BuiltInVoice
from services.synth_worker.engines.xtts.conditioning import EMBEDDING_SIZE, PROMPT_LENGTH, XttsVoice

log = structlog.get_logger()

_DEFAULT: Final = "Claribel Dervla"  # the first one of the release
_PROMPT: Final = "gpt_cond_latent"
_MOST: Final = 1_000  # that a heartbeat takes


class _Speaker(msgspec.Struct, frozen=True):
    """A speaker, as the file has it."""

    gpt_cond_latent: Tensor
    speaker_embedding: Tensor


def load_speakers(path: Path, width: int) -> Mapping[str, XttsVoice]:
    """Return the speakers, name -> voice for a decoder of this width; none if there is no file.

    Raises EngineUnavailable if the file is damaged or belongs to another model.
    """
    if not path.is_file():
        return {}
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(stored, dict) and _PROMPT in stored:
            stored = {path.stem: stored}
        speakers = msgspec.convert(stored, dict[str, _Speaker])
        voices = {name: _voice(speaker, width) for name, speaker in speakers.items()}
    except (
        RuntimeError,
        OSError,
        pickle.UnpicklingError,
        LookupError,
        TypeError,
        ValueError,
        EOFError,
        struct.error,
    ) as error:
        raise EngineUnavailable(
            f"{path} is damaged or does not belong to this model; fetch it again, or remove it to run without "
            "built-in voices"
        ) from error
    usable = {name: voice for name, voice in voices.items() if _is_name(name)}
    chosen = dict(list(usable.items())[:_MOST])
    if len(chosen) < len(voices):
        log.warning("speakers_skipped", speakers=len(voices) - len(chosen))
    return chosen


def built_in_voices(speakers: Mapping[str, XttsVoice]) -> tuple[BuiltInVoice, ...]:
    """Return the speakers as an engine describes them; the file does not contain their genders and languages."""
    return tuple(BuiltInVoice(name=name, gender="neutral") for name in speakers)


def default_speaker(speakers: Mapping[str, XttsVoice]) -> str | None:
    """Return the speaker of requests that name no voice; None if there are no speakers."""
    return _DEFAULT if _DEFAULT in speakers else next(iter(speakers), None)


def _voice(speaker: _Speaker, width: int) -> XttsVoice:
    """Return a speaker's voice. Raises ValueError, RuntimeError for tensors of other sizes."""
    prompt = speaker.gpt_cond_latent.detach().float().reshape(1, PROMPT_LENGTH, width)
    embedding = speaker.speaker_embedding.detach().float().reshape(1, EMBEDDING_SIZE, 1)
    if not (torch.isfinite(prompt).all() and torch.isfinite(embedding).all()):
        raise ValueError("a number is not finite")
    return XttsVoice(prompt=prompt.contiguous(), embedding=embedding.contiguous())


def _is_name(name: str) -> bool:
    """Return whether a speaker's name can be the name of a voice."""
    try:
        msgspec.convert(name, VoiceName)
    except msgspec.ValidationError:
        return False
    return True
