"""A loaded checkpoint: the modules, the decoder and the vocoder."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from services.common.audio.clip import Clip
from services.synth_worker.engines.xtts import conditioning
from services.synth_worker.engines.xtts.decoder.batch import BatchDecoder
from services.synth_worker.engines.xtts.text.tokenizer import TextEncoder
from services.synth_worker.engines.xtts.vocoder.stream import Vocoder
from services.synth_worker.engines.xtts.weights.checkpoint import Checkpoint


@dataclass(frozen=True, eq=False)
class Resident:
    """The objects that the engine's `load` creates."""

    checkpoint: Checkpoint
    texts: TextEncoder
    decoder: BatchDecoder
    vocoder: Vocoder

    @property
    def width(self) -> int:
        """Return the width of the decoder."""
        width: int = self.checkpoint.config.model_args.gpt_n_model_channels
        return width

    def warm_up(self, slots: int, rate_hz: int, chunks: Sequence[int]) -> None:
        """Run everything once that a GPU loads, records or plans at its first use; `chunks` are sizes in codes."""
        noise = torch.rand(4 * rate_hz, generator=torch.Generator().manual_seed(0)) - 0.5
        clip = Clip(noise.numpy(), rate_hz)
        conditioning.condition(self.checkpoint, [clip], self.checkpoint.config.gpt_cond_len)
        self.decoder.prepare()
        self.vocoder.prepare(slots, chunks)
