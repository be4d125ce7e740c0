"""The parameters of a request that sets none: those of the checkpoint's config.json."""

from collections.abc import Mapping
from typing import Final

from services.common.wire.options import Parameters
from services.synth_worker.engines.xtts.decoder.sampling import Sampling
from services.synth_worker.engines.xtts.weights.checkpoint import Config

RELEASED: Final = {  # the defaults of the released configuration
    "temperature": 0.75,
    "top_k": 50.0,
    "top_p": 0.85,
    "repetition_penalty": 5.0,
    "length_penalty": 1.0,  # for beam search, which is not used; accepted because XTTS clients send it
    "speed": 1.0,
    "gpt_cond_len": 30.0,
}


def defaults_of(config: Config) -> dict[str, float]:
    """Return the parameters of a request that sets none: those of config.json."""
    return {
        "temperature": config.temperature,
        "top_k": float(config.top_k),
        "top_p": config.top_p,
        "repetition_penalty": config.repetition_penalty,
        "length_penalty": config.length_penalty,
        "speed": 1.0,
        "gpt_cond_len": float(config.gpt_cond_len),
    }


def sampling_of(parameters: Parameters, defaults: Mapping[str, float]) -> Sampling:
    """Return the request's sampling settings, with the checkpoint's defaults for the rest."""

    def chosen(name: str) -> float:
        value: float | None = getattr(parameters, name)
        return defaults[name] if value is None else value

    return Sampling(
        temperature=chosen("temperature"),
        top_k=int(chosen("top_k")),
        top_p=chosen("top_p"),
        repetition_penalty=chosen("repetition_penalty"),
    )
