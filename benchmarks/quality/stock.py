"""The floor: a language's stock voice as the model speaks it, without cloning.

The export as it was published, from tokens to samples, and the embedded engine's phonemes; runs in the product's
virtualenv.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from services.common.audio.clip import Samples
from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded import assets
from services.synth_worker.engines.embedded.g2p import VOCABULARY
from services.synth_worker.engines.embedded.rendering import graph
from services.synth_worker.engines.embedded.rendering.audio_models import onnx_session
from services.synth_worker.engines.embedded.rendering.tokens import token_parts
from services.synth_worker.engines.embedded.voices.styles import TIMBRE, StockStyles
from services.synth_worker.engines.embedded.weights import joined_weights


class StockVoices:
    """Speaks with the voices that come with the model, or with others of the same form, `packs`."""

    def __init__(
        self, cache: Path, threads: int = 2, packs: Mapping[str, Floats] | None = None
    ) -> None:
        self._session = onnx_session(joined_weights(cache), threads)
        self._styles = StockStyles(packs or assets.load_arrays(assets.STOCK_VOICES))

    def name(self, language: str, voice: str) -> str:
        """Name the voice that `speak` speaks in: the names of stock voices instead of "high" and "low"."""
        return "/".join(
            self._styles.name_for(language, low=half == "low") if half in {"high", "low"} else half
            for half in voice.split("/")
        )

    def speak(self, phonemes: str, language: str, voice: str, speed: float = 1.0) -> Samples:
        """Speak a sentence, 24 kHz.

        `voice`: the "high" or the "low" stock voice of the language, the name of a voice, or two of these joined by a
        slash: the first lends its prosody, the second its timbre.
        """
        prosody, _, timbre = self.name(language, voice).partition("/")
        parts = []
        for tokens in token_parts(phonemes, VOCABULARY):
            style = self._styles.style(prosody, len(tokens))
            if timbre:
                of = self._styles.style(timbre, len(tokens))
                style = np.concatenate([of[:TIMBRE], style[TIMBRE:]])
            inputs = graph.text_inputs(tokens, style, speed)
            parts.append(self._session.run(["audio"], inputs)[0])
        return np.concatenate(parts)
