"""Other strengths of the filter and of the timbre than the engine's, to measure what each one costs and gains.

Runs in the product's virtualenv, in the process that speaks; the engine itself has no such settings.
"""

from collections.abc import Mapping
from dataclasses import replace
from unittest import mock

import numpy as np

from benchmarks.quality.strengths import CONSTANTS, SHARES, TIMBRE
from services.common.audio.spectra import Floats
from services.synth_worker.engines.embedded import engine
from services.synth_worker.engines.embedded.rendering import envelope
from services.synth_worker.engines.embedded.voices.styles import Recolouring


def apply(strength: Mapping[str, float]) -> None:
    """Replace settings of the engine for the rest of this process."""
    shares = {name: strength[name] for name in SHARES if name in strength}
    usual = envelope.shares_for
    mock.patch.object(envelope, "shares_for", lambda code: replace(usual(code), **shares)).start()
    for name, constant in CONSTANTS.items():
        if name in strength:
            kind = type(getattr(envelope, constant))
            mock.patch.object(envelope, constant, kind(strength[name])).start()
    if TIMBRE in strength:
        share = strength[TIMBRE]

        def towards(timbre: Floats, _: str) -> Recolouring:
            return Recolouring(1 - share, np.float32(share) * timbre)

        mock.patch.object(engine, "towards", towards).start()
