"""Text -> the phonemes of Kokoro-82M, for the seventeen languages."""

from services.synth_worker.engines.embedded.g2p.phonemizer import Phonemizer
from services.synth_worker.engines.embedded.g2p.vocabulary import VOCABULARY

__all__ = ["VOCABULARY", "Phonemizer"]
