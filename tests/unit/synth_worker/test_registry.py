"""The engine registry, and the places outside the worker that list engines."""

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from services.common.bus.nats import roles
from services.synth_worker.building import build_engine, prefetch_weights
from services.synth_worker.engines import registry
from services.synth_worker.engines.registry import ENGINES
from services.synth_worker.settings import Settings

ROOT = Path(__file__).parents[3]
DEPLOYED = {name for name, spec in ENGINES.items() if spec.deployed}


def test_the_registry_is_importable_without_the_engines_packages() -> None:
    program = (
        "import sys\n"
        "import services.synth_worker.settings\n"
        "print(*sys.modules.keys() & {'torch', 'onnxruntime', 'onnx', 'openvino', 'transformers', 'huggingface_hub'})\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.split() == []


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_describes_itself_by_its_registered_name(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", name)
    assert build_engine(Settings(engine=name)).describe().name == name


def test_the_worker_has_the_settings_of_every_engine_with_their_defaults() -> None:
    worker = Settings()
    for spec in ENGINES.values():
        for field in msgspec.structs.fields(spec.settings):
            assert getattr(worker, field.name) == field.default


def test_the_type_checker_sees_the_settings_of_every_engine() -> None:
    source = Path(registry.__file__).read_text("utf-8")
    [bases] = re.findall(r"class EngineSettings\((.+?),\s*frozen", source, re.DOTALL)
    own = {
        spec.settings.__name__ for spec in ENGINES.values() if msgspec.structs.fields(spec.settings)
    }
    assert own == {base.rpartition(".")[2] for base in re.findall(r"[\w.]+", bases)} - {
        "ProcessSettings"
    }


def test_an_unknown_engine_is_rejected() -> None:
    with pytest.raises(msgspec.ValidationError, match="engine"):
        msgspec.convert({"engine": "espeak"}, Settings)


@pytest.mark.parametrize("name", [name for name, spec in ENGINES.items() if spec.prefetch is None])
def test_an_engine_without_a_prefetch_downloads_nothing(name: str) -> None:
    assert prefetch_weights(Settings(engine=name), lambda _: None) is None


def test_the_nats_role_of_workers_includes_every_deployed_engine() -> None:
    assert set(roles.ENGINES) == DEPLOYED


def test_compose_has_a_service_for_every_deployed_engine() -> None:
    composed = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yml").read_text("utf-8"))
    workers = {
        name.removeprefix("worker-") for name in composed["services"] if name.startswith("worker-")
    }
    assert workers == DEPLOYED


def test_kubernetes_has_manifests_for_every_deployed_engine() -> None:
    folders = {
        folder.name for folder in (ROOT / "deploy" / "k8s" / "workers").iterdir() if folder.is_dir()
    }
    assert folders - {"common"} == DEPLOYED
