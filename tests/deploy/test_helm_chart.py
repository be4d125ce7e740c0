"""The Helm chart has the objects of the manifests, whichever way either of them is configured."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.helm import CHART, HELMS, comparable, helm, objects
from tests.deploy.manifests import (
    KUBERNETES,
    Object,
    rendered,
    rendered_folder,
    with_component,
)
from tools.helm_chart.chart import chart
from tools.helm_chart.manifests import rendered as kustomized

helms = pytest.mark.parametrize("program", HELMS)
CPU: dict[str, Any] = {"scaling.enabled": True, "namespace.create": True}
GPU: dict[str, Any] = CPU | {
    "engines.embedded.enabled": False,
    "engines.xtts.enabled": True,
    "engines.xtts.acceptLicence": True,
}


def same(chart_objects: list[Object], manifests: list[Object]) -> None:
    """Compare object by object, so that a difference names its object."""
    ours, theirs = comparable(chart_objects), comparable(manifests)
    assert sorted(ours) == sorted(theirs)

    for key in theirs:
        assert ours[key] == theirs[key], key


def test_generated_files_are_up_to_date() -> None:
    made = chart()  # ./task chart
    assert {path: path.read_text("utf-8") if path.exists() else "" for path in made} == made


def test_no_generated_template_is_left_over() -> None:
    generated = {
        path
        for path in CHART.glob("templates/*.yaml")
        if path.read_text("utf-8").startswith("{{- /* Generated")
    }
    assert generated == {path for path in chart() if path.parent.name == "templates"}


@helms
def test_helm_finds_no_fault(program: str) -> None:
    done = helm(program, "lint", "--strict", CHART)
    assert done.returncode == 0, done.stdout + done.stderr


@helms
def test_workers_on_cpus_are_those_of_the_overlay(program: str) -> None:
    same(objects(program, CPU), rendered("cpu").objects)


@helms
def test_workers_on_gpus_are_those_of_the_overlay(program: str) -> None:
    manifests = rendered("gpu")
    manifests.one("ConfigMap", "licence-xtts")["data"]["coqui-tos-agreed"] = "1"
    same(objects(program, GPU), manifests.objects)


@helms
def test_a_trial_on_one_node_is_the_local_overlay(program: str) -> None:
    values = CHART / "values-local.yaml"
    same(objects(program, values, {"namespace.create": True}), rendered("local").objects)


@helms
def test_monitoring_is_that_of_the_overlay(program: str) -> None:
    without = comparable(objects(program, CPU))
    added = [
        each
        for each in objects(program, CPU | {"monitoring.enabled": True})
        if (each["kind"], each["metadata"]["name"]) not in without and each["kind"] != "Job"
    ]
    same(added, rendered("monitoring").objects)


@helms
def test_api_keys_are_those_of_the_component(program: str, tmp_path: Path) -> None:
    manifests = with_component(tmp_path, "api-keys")
    same(objects(program, CPU | {"apiKeys.enabled": True}), manifests.objects)


@helms
def test_the_pod_for_commands_is_that_of_the_component(program: str, tmp_path: Path) -> None:
    manifests = with_component(tmp_path, "admin")
    same(objects(program, CPU | {"admin.enabled": True}), manifests.objects)


STORAGE_ON_EKS = {
    "nats.storage.className": "voice-cloning-gp3",
    "engines.xtts.storage.className": "efs-sc",
}
COMPONENTS: dict[str, dict[str, Any]] = {
    "gateway": {"expose": "gateway", "gateway.className": "nginx"},
    "pull-secret": {"imagePullSecrets": [{"name": "registry"}]},
    "nvidia-runtime": {"engines.xtts.runtimeClassName": "nvidia"},
    "k3s": {
        "engines.xtts.runtimeClassName": "nvidia",
        "engines.xtts.storage.accessModes": ["ReadWriteOnce"],
        "ingress.className": "traefik",
    },
    "eks": STORAGE_ON_EKS,
}


@helms
@pytest.mark.parametrize("component", COMPONENTS)
def test_values_do_what_a_component_does(program: str, component: str) -> None:
    manifests = kustomized("overlays/gpu", components=(f"components/{component}",))
    manifests["ConfigMap", "licence-xtts"]["data"]["coqui-tos-agreed"] = "1"
    manifests.pop(("StorageClass", "voice-cloning-gp3"), None)  # of the cluster
    same(objects(program, GPU | COMPONENTS[component]), list(manifests.values()))


@helms
def test_google_load_balancers_are_configured_by_values(program: str) -> None:
    manifests = kustomized("overlays/cpu", components=("components/gke",))
    extra = [
        each for key, each in manifests.items() if key[0] == "BackendConfig" or "google" in key[1]
    ]
    assert len(extra) == 3
    annotations = {
        f"{path}.serviceAnnotations": manifests["Service", name]["metadata"]["annotations"]
        for path, name in (("edge", "http-edge"), ("ui", "ui"))
    }
    values = {
        "nats.storage.className": "premium-rwo",
        "ingress.annotations": {"kubernetes.io/ingress.class": "gce"},
        "extraObjects": extra,
    }
    same(objects(program, CPU | values | annotations), list(manifests.values()))


@helms
def test_hosts_and_namespace_of_a_cell_are_those_of_its_overlay(
    program: str, tmp_path: Path
) -> None:
    folder = Path(os.path.relpath(KUBERNETES, tmp_path.resolve()))
    hosts = ["api-host=api.tts.example", "ui-host=tts.example"]
    overlay = {
        "resources": [str(folder / "overlays" / "cpu")],
        "namespace": "cell-b",
        "transformers": [str(folder / "cell")],
        "configMapGenerator": [{"name": "hosts", "behavior": "merge", "literals": hosts}],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay), "utf-8")
    manifests = [each for each in rendered_folder(tmp_path).objects if each["kind"] != "Namespace"]
    values = {"hosts.api": "api.tts.example", "hosts.ui": "tts.example"}
    cell = objects(program, CPU | values | {"namespace.create": False}, namespace="cell-b")
    same(cell, manifests)


@helms
def test_a_second_release_in_another_namespace_is_a_separate_cell(program: str) -> None:
    cell = objects(program, CPU | {"namespace.create": False}, namespace="cell-b")
    assert {each["metadata"]["namespace"] for each in cell} == {"cell-b"}
    (scaled,) = [each for each in cell if each["kind"] == "ScaledObject"]
    triggers = [trigger["metadata"] for trigger in scaled["spec"]["triggers"]]
    endpoints = {
        each["natsServerMonitoringEndpoint"]
        for each in triggers
        if "natsServerMonitoringEndpoint" in each
    }
    assert endpoints == {"nats-headless.cell-b.svc:8222"}
    queries = [each["query"] for each in triggers if "query" in each]
    assert queries
    assert all('namespace="cell-b"' in query for query in queries)


@helms
def test_both_engines_can_run_in_one_release(program: str) -> None:
    both = comparable(objects(program, GPU | {"engines.embedded.enabled": True}))
    assert both.keys() >= comparable(rendered("cpu").objects).keys()
    assert both.keys() >= comparable(rendered("gpu").objects).keys()
    assert both["ConfigMap", "settings"]["data"]["ENGINE"] == "embedded"
    (establish,) = both["Job", "establish"]["spec"]["template"]["spec"]["containers"]
    assert establish["command"][-3:] == ["--engines", "embedded", "xtts"]
