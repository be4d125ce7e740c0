"""The floor: a language's stock voice as the model speaks it, without cloning.

Put together from the embedded engine's own parts; runs in the product's virtualenv.
"""

from pathlib import Path

import numpy as np

from services.common.audio.clip import Samples
from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.g2p import VOCABULARY
from services.synth_worker.engines.embedded.rendering.kokoro import Kokoro
from services.synth_worker.engines.embedded.rendering.tokens import token_parts
from services.synth_worker.engines.embedded.voices.styles import StockStyles


class StockVoices:
    """Speaks with the voices that come with the model."""

    def __init__(self, cache: Path, threads: int = 2) -> None:
        self._kokoro = Kokoro(cache, threads)
        self._styles = StockStyles(assets.load_arrays(assets.STOCK_VOICES))

    def speak(self, phonemes: str, language: str, voice: str, speed: float = 1.0) -> Samples:
        """Speak a sentence with the "high" or the "low" stock voice of its language, 24 kHz."""
        name = self._styles.name_for(language, low=voice == "low")
        parts = []
        for tokens in token_parts(phonemes, VOCABULARY):
            style = self._styles.style(name, len(tokens))
            parts.append(
                self._kokoro.audio(self._kokoro.prosody(list(tokens), style, speed), style)
            )
        return np.concatenate(parts)
