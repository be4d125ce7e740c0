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
from torch import Tensor

from services.common.audio.clip import Clip
from services.common.wire.failures import MalformedMessage, UnusableReference
from services.synth_worker.engines.xtts.weights.checkpoint import Checkpoint
from services.synth_worker.engines.xtts.weights.imports import mel_spectrogram, resample

PROMPT_LENGTH: Final = 32  # latents of the Perceiver resampler
EMBEDDING_SIZE: Final = 512
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

    def to_bytes(self) -> bytes:
        """Return the voice serialized for other workers: float32, little-endian, prompt then embedding."""
        both = torch.cat([self.prompt.flatten(), self.embedding.flatten()]).cpu().numpy()
        return both.astype("<f4").tobytes()


def voice_from_bytes(stored: bytes) -> XttsVoice:
    """Return the voice that `to_bytes` serialized. Raises MalformedMessage for other bytes."""
    rest = len(stored) - 4 * EMBEDDING_SIZE
    if rest <= 0 or rest % (4 * PROMPT_LENGTH):
        raise MalformedMessage("the bytes are not a voice of the XTTS engine")
    values = torch.from_numpy(np.frombuffer(stored, dtype="<f4").astype(np.float32))
    return XttsVoice(
        prompt=values[:-EMBEDDING_SIZE].view(1, PROMPT_LENGTH, -1),
        embedding=values[-EMBEDDING_SIZE:].view(1, EMBEDDING_SIZE, 1),
    )


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
