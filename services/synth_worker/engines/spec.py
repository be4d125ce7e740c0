"""The specification of an engine: its name, its settings, and how to build it.

A specification is importable without the engine's own packages (torch, onnxruntime, openvino): `build` and `prefetch`
import them when they are called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from services.synth_worker.engines.protocol import Engine

Progress = Callable[[str], None]  # receives a short human-readable status


class EngineEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """Base class of an engine's own settings, which are environment variables of the same names in upper case."""


EnvironmentT = TypeVar("EnvironmentT", bound=EngineEnvironment)


@dataclass(frozen=True)
class Resources:
    """Resources that the worker gives to any engine."""

    cache: Path  # folder for prepared weights
    threads: int  # CPU threads
    max_batch: int  # sentences in flight at most


@dataclass(frozen=True)
class EngineSpec(Generic[EnvironmentT]):
    """One engine, as `registry.py` lists it."""

    name: str  # the value of ENGINE; a subject token
    settings: type[EnvironmentT]
    build: Callable[
        [EnvironmentT, Resources], Engine[Any, Any]
    ]  # not loaded yet; raises EngineUnavailable
    # None: the weights are bundled
    prefetch: Callable[[EnvironmentT, Resources, Progress], Path] | None = None
    deployed: bool = True  # has a NATS role, a compose service and Kubernetes manifests
