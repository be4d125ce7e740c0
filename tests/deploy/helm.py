"""The Helm chart as helm renders it, and in the form in which it is compared with the manifests."""

import copy
import json
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.manifests import ROOT, TOOLS, Object, tool

CHART: Final = ROOT / "deploy" / "helm" / "voice-cloning"
HELMS: Final = ("helm3", "helm4")
Key = tuple[str, str]
# What only the chart sets: labels of Helm, restarts after a change, and how images are pulled.
CHART_LABELS: Final = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
}
DEFAULTS: Final[tuple[tuple[str, Any], ...]] = (
    ("annotations", {}),
    ("labels", {}),
    ("replicas", 1),
)
SORTED_BY: Final = {"env": "name", "volumes": "name", "volumeMounts": "mountPath"}


def helm(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a version of helm."""
    if not (TOOLS / name).exists() and (platform.system(), platform.machine()) != (
        "Linux",
        "x86_64",
    ):
        pytest.skip("helm is only available for Linux on x86_64")

    return subprocess.run([tool(name), *arguments], capture_output=True, text=True, check=False)


def template(
    name: str, *values: Any, namespace: str = "voice-cloning"
) -> subprocess.CompletedProcess[str]:
    """Render the chart with files of values, or values as Python objects."""
    options: list[str | Path] = []

    for each in values:
        if isinstance(each, Path):
            options += ["--values", each]
        else:
            for key, value in each.items():
                options += ["--set-json", f"{key}={json.dumps(value)}"]

    return helm(name, "template", "speech", CHART, "--namespace", namespace, *options)


def objects(name: str, *values: Any, namespace: str = "voice-cloning") -> list[Object]:
    """Return the objects of the chart."""
    done = template(name, *values, namespace=namespace)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if each]


def error(name: str, *values: Any) -> str:
    """Return the message with which the chart is refused."""
    done = template(name, *values)
    assert done.returncode != 0, "was rendered"
    return done.stderr


def comparable(of: Iterable[Object]) -> dict[Key, Object]:
    """Return objects by kind and name, without what only kustomize or only the chart sets."""
    all_ = copy.deepcopy(list(of))
    generated = {
        each["metadata"]["name"]: re.sub(r"-[0-9a-z]{10}$", "", each["metadata"]["name"])
        for each in all_
        if each["kind"] == "ConfigMap"
    }
    found: dict[Key, Object] = {}

    for each in all_:
        if each["kind"] == "Job":
            each["metadata"]["name"] = re.sub(r"-[0-9a-f]{8}$", "", each["metadata"]["name"])

        cleaned = _comparable(each, generated)
        key = (cleaned["kind"], cleaned["metadata"]["name"])
        assert key not in found, key
        found[key] = cleaned

    return found


def _comparable(node: Any, names: dict[str, str], field: str = "") -> Any:
    if isinstance(node, dict):
        kept = {
            key: _comparable(value, names, key)
            for key, value in node.items()
            if key not in CHART_LABELS
            and not key.startswith("checksum/")
            and key != "imagePullPolicy"
        }
        return {key: value for key, value in kept.items() if (key, value) not in DEFAULTS}

    if isinstance(node, list):
        items = [_comparable(each, names) for each in node]
        by = SORTED_BY.get(field)
        return sorted(items, key=lambda each: str(each[by])) if by else items

    return names.get(node, node) if isinstance(node, str) else node
