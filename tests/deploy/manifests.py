"""The manifests as kubectl renders them, and what a test asks of them."""

import copy
import functools
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
KUBERNETES: Final = ROOT / "deploy" / "k8s"
TOOLS: Final = ROOT / ".venv-deploy" / "bin"
OVERLAYS: Final = ("local", "cpu", "gpu", "monitoring", "monitoring-cell")
WORKLOADS: Final = ("Deployment", "StatefulSet", "Job")

Object = dict[str, Any]


def tool(name: str) -> Path:
    """Return a program that `./task setup:deploy` installs."""
    program = TOOLS / name
    assert program.exists(), f"{program} is missing: run ./task setup:deploy"
    return program


@functools.cache
def _rendered(folder: Path) -> str:
    said = subprocess.run(
        [tool("kubectl"), "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


@dataclass(frozen=True)
class Manifests:
    """All objects of an overlay."""

    objects: list[Object]

    def of(self, *kinds: str) -> list[Object]:
        """Return the objects of these kinds."""
        return [each for each in self.objects if each["kind"] in kinds]

    def one(self, kind: str, name: str) -> Object:
        """Return the only object of this kind and name; that of a generator by the name before its hash."""
        found = [
            each
            for each in self.of(kind)
            if re.fullmatch(re.escape(name) + r"(-[0-9a-z]{10})?", each["metadata"]["name"])
        ]
        assert len(found) == 1, (kind, name, [each["metadata"]["name"] for each in found])
        return found[0]

    def pods(self) -> Iterator[tuple[str, Object]]:
        """Yield what each workload starts: its name, and the pod's template."""
        for each in self.of(*WORKLOADS):
            yield each["metadata"]["name"], each["spec"]["template"]

    def containers(self) -> Iterator[tuple[str, Object]]:
        """Yield every workload's name and each of its containers."""
        for name, pod in self.pods():
            for container in pod["spec"].get("initContainers", []) + pod["spec"]["containers"]:
                yield name, container

    def variables(self, container: Object) -> dict[str, str]:
        """Return a container's environment; a value from elsewhere is looked up, or empty where no test can know it."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            found |= self.one("ConfigMap", source["configMapRef"]["name"])["data"]
        for variable in container.get("env", []):
            key = variable.get("valueFrom", {}).get("configMapKeyRef")
            looked_up = self.one("ConfigMap", key["name"])["data"][key["key"]] if key else ""
            found[variable["name"]] = variable.get("value", looked_up)
        return found


def rendered(overlay: str) -> Manifests:
    """Return an overlay's objects, to keep or to break."""
    return Manifests(copy.deepcopy(_parsed(KUBERNETES / "overlays" / overlay)))


def rendered_folder(folder: Path) -> Manifests:
    """Return the objects of any kustomization."""
    return Manifests(copy.deepcopy(_parsed(folder)))


def with_component(folder: Path, component: str, overlay: str = "cpu") -> Manifests:
    """Return an overlay with a component, as an operator's own overlay would have it."""
    resource = from_folder(folder, KUBERNETES / "overlays" / overlay)
    part = from_folder(folder, KUBERNETES / "components" / component)
    return own_overlay(folder, f"resources: [{resource}]\ncomponents: [{part}]\n")


def from_folder(folder: Path, target: Path) -> Path:
    """Return the path of a target from a folder: kustomize takes no absolute ones."""
    return Path("../" * len(folder.parts[1:])) / target.relative_to("/")


def own_overlay(folder: Path, text: str) -> Manifests:
    """Return the objects of a kustomization with this text."""
    (folder / "kustomization.yaml").write_text(text)
    return rendered_folder(folder)


@functools.cache
def _parsed(folder: Path) -> list[Object]:
    return list(yaml.load_all(_rendered(folder), Loader=yaml.CSafeLoader))  # seven times as fast


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Return whether a label selector selects these labels."""
    for requirement in selector.get("matchExpressions", []):
        value, values = labels.get(requirement["key"]), requirement.get("values", [])
        fits = {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not fits[requirement["operator"]]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def labels_of(pod: Object) -> dict[str, str]:
    """Return a pod's labels."""
    labels: dict[str, str] = pod["metadata"].get("labels", {})
    return labels


_UNITS: Final = {"": 1, "m": 1e-3} | {
    unit + binary: (1024 if binary else 1000) ** power
    for power, unit in enumerate("KMGTPE", start=1)
    for binary in ("i", "")
}


def quantity(text: str | int) -> float:
    """Return an amount of cores, bytes or devices. Raises ValueError for what Kubernetes does not take."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m|[KMGTPE]i?|k)?", str(text))
    if not found:
        raise ValueError(f"{text} is no quantity")
    return float(found[1]) * _UNITS["K" if found[2] == "k" else found[2] or ""]
