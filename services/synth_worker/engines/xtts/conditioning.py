"""Computes a voice from reference clips: the decoder's prompt and the vocoder's speaker embedding.

The computation matches stock coqui-tts: mel spectra of short chunks through the conditioning encoder and
its Perceiver resampler (Casanova et al., "XTTS: a massively multilingual zero-shot text-to-speech
model", 2024), and the d-vector of a residual network over 16 kHz audio (Heo et al., "Clova baseline
system for the VoxCeleb speaker recognition challenge 2020").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.common.audio.clip import Clip
from services.common.voice_tensors import VoiceTensors, pack_tensors, unpack_tensors
from services.common.wire.failures import MalformedMessage, UnusableReference
from services.synth_worker.engines.xtts.weights.checkpoint import Checkpoint
from services.synth_worker.engines.xtts.weights.imports import mel_spectrogram, resample

PROMPT_LENGTH: Final = 32  # latents of the Perceiver resampler
EMBEDDING_SIZE: Final = 512
_ENGINE: Final = "xtts"
_PROMPT: Final = "gpt_cond_latent"  # stock's names of the tensors
_EMBEDDING: Final = "speaker_embedding"
_MEL_RATE_HZ: Final = 22_050
_EMBEDDING_RATE_HZ: Final = 16_000
_SHORTEST_CHUNK_S: Final = 0.33
_NORMAL_PEAK: Final = 0.75
_SILENCE: Final = 1e-3  # full scale is 1
_ADVICE: Final = "send 6-30 s of one person speaking, without music or noise"


@dataclass(frozen=True, eq=False)
class XttsVoice:
    """One speaker's conditioning, as the decoder and the vocoder use it."""

    prompt: Tensor  # float32 [1, 32, width]
    embedding: Tensor  # float32 [1, 512, 1]

    def to_bytes(self, model: str) -> bytes:
        """Return the voice serialized, as a voice of the model with this fingerprint."""
        tensors = {_PROMPT: self.prompt, _EMBEDDING: self.embedding}
        return pack_tensors(
            VoiceTensors(
                _ENGINE, model, {name: each.cpu().numpy() for name, each in tensors.items()}
            )
        )


def voice_from_bytes(stored: bytes, model: str, width: int) -> XttsVoice:
    """Return a serialized voice, for the model with this fingerprint and decoder width.

    Also of an unknown model, and as earlier releases stored it: float32, little-endian, prompt then embedding. Raises
    MalformedMessage for other bytes.
    """
    prompt_size = PROMPT_LENGTH * width
    if len(stored) == 4 * (prompt_size + EMBEDDING_SIZE):
        values = np.frombuffer(stored, dtype="<f4").astype(np.float32)
        tensors = {_PROMPT: values[:prompt_size], _EMBEDDING: values[prompt_size:]}
    else:
        tensors = _checked_tensors(unpack_tensors(stored), model, width)
    return XttsVoice(
        prompt=torch.from_numpy(tensors[_PROMPT]).view(1, PROMPT_LENGTH, width),
        embedding=torch.from_numpy(tensors[_EMBEDDING]).view(1, EMBEDDING_SIZE, 1),
    )


def _checked_tensors(voice: VoiceTensors, model: str, width: int) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of a voice. Raises MalformedMessage for those of another engine or model."""
    if voice.engine != _ENGINE:
        raise MalformedMessage(
            f"the voice was computed for the engine {voice.engine}, not {_ENGINE}"
        )
    if voice.model not in ("", model):
        raise MalformedMessage(
            f"the voice was computed for the XTTS model {voice.model}, not for {model}, which this worker runs"
        )
    expected = {_PROMPT: (1, PROMPT_LENGTH, width), _EMBEDDING: (1, EMBEDDING_SIZE, 1)}
    if {name: each.shape for name, each in voice.tensors.items()} != expected:
        raise MalformedMessage(
            "a computed voice of this XTTS model has the tensors "
            + " and ".join(f"{name} {list(shape)}" for name, shape in expected.items())
        )
    return dict(voice.tensors)


@torch.inference_mode()
def condition(checkpoint: Checkpoint, clips: Sequence[Clip], seconds: int) -> XttsVoice:
    """Compute the voice of one speaker's clips; the decoder's prompt uses their first `seconds`.

    Raises UnusableReference if the clips are silent or too short.
    """
    waveforms = [_waveform(clip, checkpoint.config.max_ref_len) for clip in clips]
    if checkpoint.config.sound_norm_refs:  # as in stock
        waveforms = [waveform / waveform.abs().max() * _NORMAL_PEAK for waveform in waveforms]
    embeddings = [_embedding(checkpoint, waveform) for waveform in waveforms]
    prompt = _prompt(checkpoint, torch.cat(waveforms), seconds)
    return XttsVoice(prompt=prompt, embedding=torch.stack(embeddings).mean(0))


def _waveform(clip: Clip, longest_s: int) -> Tensor:
    """Return the clip as float32 [samples] at 22,050 Hz."""
    if not len(clip.samples) or float(np.abs(clip.samples).max()) < _SILENCE:
        raise UnusableReference(f"the reference audio is silent; {_ADVICE}")
    waveform = resample(
        torch.from_numpy(np.ascontiguousarray(clip.samples)), clip.sample_rate_hz, _MEL_RATE_HZ
    )
    return waveform[: longest_s * _MEL_RATE_HZ]


def _embedding(checkpoint: Checkpoint, waveform: Tensor) -> Tensor:
    resampled = (
        resample(waveform, _MEL_RATE_HZ, _EMBEDDING_RATE_HZ).unsqueeze(0).to(checkpoint.device)
    )
    embedding: Tensor = checkpoint.speaker_encoder.forward(resampled, l2_norm=True).unsqueeze(-1)
    return embedding


def _prompt(checkpoint: Checkpoint, waveform: Tensor, seconds: int) -> Tensor:
    chunks = waveform[: seconds * _MEL_RATE_HZ].split(
        checkpoint.config.gpt_cond_chunk_len * _MEL_RATE_HZ
    )
    latents = [
        checkpoint.gpt.get_style_emb(
            mel_spectrogram(chunk.unsqueeze(0), checkpoint.mel_stats).to(checkpoint.device)
        )
        for chunk in chunks
        if len(chunk) >= _SHORTEST_CHUNK_S * _MEL_RATE_HZ
    ]
    if not latents:
        raise UnusableReference(f"the reference audio is too short; {_ADVICE}")
    prompt: Tensor = torch.stack(latents).mean(0).transpose(1, 2)
    return prompt
