"""Every overlay is what Kubernetes, KEDA and the Prometheus operator take, by their own schemas."""

import json
import subprocess
from pathlib import Path

from tests.deploy.manifests import OVERLAYS, Manifests, rendered, tool, with_component

OLDEST, NEWEST = "1.30", "1.37"
PROGRAM = Path(__file__).with_name("kubernetes_schemas.py")


def complaints(manifests: list[Manifests], *versions: str) -> list[list[str]]:
    """Return what is wrong with each, by each version; one process for all, because reading the schemas takes long."""
    said = subprocess.run(
        [tool("python"), PROGRAM, *versions],
        input=json.dumps([each.objects for each in manifests]),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[str]] = json.loads(said.stdout)
    return found


def test_all_overlays_fit_the_schemas(tmp_path: Path) -> None:
    manifests = [*map(rendered, OVERLAYS), with_component(tmp_path, "api-keys")]
    assert complaints(manifests, OLDEST, NEWEST) == [[]] * (2 * len(manifests))


def _misspelt(all_: Manifests) -> None:
    all_.one("Deployment", "worker-xtts")["spec"]["template"]["spec"]["terminationGracePeriod"] = 30


def _wrong_type(all_: Manifests) -> None:
    all_.one("ScaledObject", "worker-xtts")["spec"]["minReplicaCount"] = "none"


def _unknown_to_keda(all_: Manifests) -> None:
    all_.one("ScaledObject", "worker-xtts")["spec"]["minReplicas"] = 0


def _no_trigger_type(all_: Manifests) -> None:
    del all_.one("ScaledObject", "worker-xtts")["spec"]["triggers"][0]["type"]


def test_mistakes_are_seen() -> None:
    manifests = [rendered("gpu") for _ in range(4)]
    for broken, make in zip(
        manifests, [_misspelt, _wrong_type, _unknown_to_keda, _no_trigger_type], strict=True
    ):
        make(broken)
    assert [len(found) for found in complaints(manifests, NEWEST)] == [1, 1, 1, 1]
