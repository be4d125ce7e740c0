"""The kustomize manifests that the chart is made of, as kubectl renders them."""

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import yaml

from tools.helm_chart.document import Object, strings

ROOT: Final = Path(__file__).parents[2]
KUBERNETES: Final = ROOT / "deploy" / "k8s"
KUBECTL: Final = ROOT / ".venv-deploy" / "bin" / "kubectl"
_HASH: Final = re.compile(r"-[0-9a-z]{10}$")  # that kustomize adds to generated names

Key = tuple[str, str]


def rendered(*resources: str, components: tuple[str, ...] = ()) -> dict[Key, Object]:
    """Return the objects of these folders of deploy/k8s by kind and name, generated names without their hash."""
    with tempfile.TemporaryDirectory() as folder:
        to = {
            "resources": [_relative(resource, folder) for resource in resources],
            "components": [_relative(component, folder) for component in components],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(to), "utf-8")
        text = _kustomize(Path(folder))

    objects = _unhashed(list(yaml.safe_load_all(text)))
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def _relative(folder: str, start: str) -> str:
    return os.path.relpath(KUBERNETES / folder, Path(start).resolve())


def _kustomize(folder: Path) -> str:
    done = subprocess.run(  # noqa: S603  # kubectl, with a folder of ours
        [KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False
    )

    if done.returncode:
        raise RuntimeError(f"kubectl kustomize: {done.stderr.strip()}")

    return done.stdout


def _unhashed(objects: list[Object]) -> list[Object]:
    """Return the objects with the generated names in them shortened."""
    names = {each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"}
    shortened: list[Object] = strings(
        objects, lambda text: _HASH.sub("", text) if text in names else text
    )
    return shortened
