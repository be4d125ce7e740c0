"""Tests of a first apply on GKE, EKS or k3s, and of two cells in one cluster."""

import ipaddress
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.settings import read_settings
from services.http_edge.settings import Settings as EdgeSettings
from services.http_edge.transport.host_names import AllowedHosts
from services.synth_worker.settings import Settings as WorkerSettings
from tests.deploy.kubernetes_faults import faults
from tests.deploy.manifests import (
    KUBERNETES,
    ROOT,
    Manifests,
    Object,
    from_folder,
    labels_of,
    own_overlay,
    quantity,
    rendered,
    selects,
    with_component,
)
from tests.deploy.test_kubernetes_schemas import NEWEST, OLDEST, complaints

CLOUDS = ("gke", "eks", "k3s")
OTHER_COMPONENTS = ("gateway", "pull-secret", "nvidia-runtime", "admin")
HPA_TOLERANCE = 1.1  # a HorizontalPodAutoscaler ignores less than 10 %


def own(folder: Path, overlay: str, *components: str, api_host: str, ui_host: str) -> Manifests:
    """Return an overlay as an operator writes it: a namespace, two hosts, components."""
    parts = ", ".join(str(from_folder(folder, KUBERNETES / "components" / c)) for c in components)
    return own_overlay(
        folder,
        f"""
namespace: cell-b
resources: [{from_folder(folder, KUBERNETES / "overlays" / overlay)}]
components: [{parts}]
transformers: [{from_folder(folder, KUBERNETES / "cell")}]
configMapGenerator:
  - {{name: hosts, behavior: merge, literals: [api-host={api_host}, ui-host={ui_host}]}}
""",
    )


def variables(manifests: Manifests, name: str) -> dict[str, str]:
    """Return the environment of a workload's container."""
    [found] = [container for each, container in manifests.containers() if each == name]
    return manifests.variables(found)


@pytest.mark.parametrize(
    "address", ["169.254.20.10", "169.254.169.254", "10.96.0.10", "172.20.0.10", "34.118.224.10"]
)
def test_every_pod_reaches_dns_on_its_node_and_at_the_service(address: str) -> None:
    for manifests in (rendered("cpu"), rendered("gpu"), rendered("local")):
        for name, pod in manifests.pods():
            assert set(_egress(manifests, pod, address)) >= {("UDP", 53), ("TCP", 53)}, name


def test_nothing_but_dns_is_allowed_at_those_addresses() -> None:
    manifests = rendered("gpu")
    for _, pod in manifests.pods():
        for address in ("169.254.169.254", "10.96.0.10"):
            assert {port for _, port in _egress(manifests, pod, address)} == {53}


def _egress(manifests: Manifests, pod: Object, address: str) -> Iterator[tuple[str, int]]:
    """Yield the ports that a pod may reach at an address."""
    for policy in manifests.of("NetworkPolicy"):
        if selects(policy["spec"]["podSelector"], labels_of(pod)):
            for rule in policy["spec"].get("egress", []):
                if any(_holds(peer, address) for peer in rule["to"]):
                    yield from ((port["protocol"], port["port"]) for port in rule["ports"])


def _holds(peer: Object, address: str) -> bool:
    block = peer.get("ipBlock")
    if block is None:
        return False
    ip = ipaddress.ip_address(address)
    excluded = any(ip in ipaddress.ip_network(each) for each in block.get("except", []))
    return ip in ipaddress.ip_network(block["cidr"]) and not excluded


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_no_two_nats_servers_share_a_node(overlay: str) -> None:
    nats = rendered(overlay).one("StatefulSet", "nats")["spec"]
    [by_node] = [
        each
        for each in nats["template"]["spec"]["topologySpreadConstraints"]
        if each["topologyKey"] == "kubernetes.io/hostname"
    ]
    assert by_node["whenUnsatisfiable"] == "DoNotSchedule"
    # With fewer nodes than this, a second server on one node would count as a skew of two.
    assert (by_node["maxSkew"], by_node["minDomains"]) == (1, nats["replicas"])


def test_nats_collects_garbage_before_its_memory_limit() -> None:
    for overlay in ("local", "cpu", "gpu"):
        [container] = [c for name, c in rendered(overlay).containers() if name == "nats"]
        [limit] = [v["value"] for v in container["env"] if v["name"] == "GOMEMLIMIT"]
        assert limit.endswith("MiB")  # not "Mi", as for Kubernetes
        share = quantity(limit.removesuffix("B")) / quantity(
            container["resources"]["limits"]["memory"]
        )
        assert 0.6 < share < 0.9


def test_prometheus_of_the_usual_chart_reads_every_monitor_and_rule() -> None:
    for overlay in ("monitoring", "monitoring-cell"):
        for each in rendered(overlay).objects:
            if each["apiVersion"].startswith("monitoring.coreos.com/"):
                assert each["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_alerts_are_routed_as_in_compose() -> None:
    spec = rendered("monitoring").one("AlertmanagerConfig", "voice-cloning")["spec"]
    compose = _yaml(ROOT / "deploy" / "alertmanager" / "alertmanager.yml")
    assert spec["route"]["receiver"] == compose["route"]["receiver"]
    assert spec["route"]["groupBy"] == compose["route"]["group_by"]
    assert spec["route"]["repeatInterval"] == compose["route"]["repeat_interval"]
    [pages], [same] = spec["route"]["routes"], compose["route"]["routes"]
    assert (pages["receiver"], pages["repeatInterval"]) == (
        same["receiver"],
        same["repeat_interval"],
    )
    assert [f'{m["name"]}="{m["value"]}"' for m in pages["matchers"]] == same["matchers"]
    assert {each["name"] for each in spec["receivers"]} == {
        each["name"] for each in compose["receivers"]
    }
    assert [_names(rule["sourceMatch"]) for rule in spec["inhibitRules"]] == [
        _names_of(rule["source_matchers"]) for rule in compose["inhibit_rules"]
    ]
    assert [_names(rule["targetMatch"]) for rule in spec["inhibitRules"]] == [
        _names_of(rule["target_matchers"]) for rule in compose["inhibit_rules"]
    ]


def _yaml(path: Path) -> Object:
    found: Object = yaml.safe_load(path.read_text())
    return found


def _names(matchers: list[Object]) -> set[str]:
    [names] = [each["value"] for each in matchers if each["name"] == "alertname"]
    return set(names.split("|"))


def _names_of(matchers: list[str]) -> set[str]:
    [names] = [each for each in matchers if each.startswith("alertname")]
    return set(names.removeprefix('alertname=~"').removesuffix('"').split("|"))


def test_a_pull_secret_is_used_by_every_pod(tmp_path: Path) -> None:
    for overlay in ("cpu", "gpu"):
        for name, pod in with_component(tmp_path, "pull-secret", overlay).pods():
            assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}], name


def test_an_overlay_with_a_component_has_no_fault(tmp_path: Path) -> None:
    known = []
    for overlay, component in itertools.product(("cpu", "gpu"), CLOUDS + OTHER_COMPONENTS):
        folder = tmp_path / f"{overlay}-{component}"
        folder.mkdir()
        manifests = with_component(folder, component, overlay)
        assert faults(manifests) == []
        objects = [each for each in manifests.objects if not _without_schema(each)]
        known.append(Manifests(objects))
    # in one process, because reading the schemas takes long
    assert complaints(known, OLDEST, NEWEST) == [[]] * (2 * len(known))


def _without_schema(each: Object) -> bool:
    return str(each["apiVersion"]).startswith(("gateway.networking.k8s.io", "cloud.google.com"))


@pytest.mark.parametrize(
    ("cloud", "disk", "shared"),
    [
        ("gke", "premium-rwo", ("standard-rwx", "ReadWriteMany")),
        ("eks", "voice-cloning-gp3", ("efs-sc", "ReadWriteMany")),
        ("k3s", None, (None, "ReadWriteOnce")),  # its default class, of disks on the node
    ],
)
def test_volumes_have_a_storage_class_that_the_cloud_has(
    tmp_path: Path, cloud: str, disk: str | None, shared: tuple[str | None, str]
) -> None:
    manifests = with_component(tmp_path, cloud, "gpu")
    [claim] = manifests.one("StatefulSet", "nats")["spec"]["volumeClaimTemplates"]
    assert claim["spec"].get("storageClassName") == disk
    models = manifests.one("PersistentVolumeClaim", "models-xtts")["spec"]
    assert (models.get("storageClassName"), models["accessModes"][0]) == shared
    made = {each["metadata"]["name"] for each in manifests.of("StorageClass")}
    assert made == ({disk} if cloud == "eks" else set())


def test_gke_lets_its_load_balancers_in_and_does_not_end_streams(tmp_path: Path) -> None:
    manifests = with_component(tmp_path, "gke")
    for name, port in (("http-edge", 8004), ("ui", 8501)):
        backend = manifests.one("BackendConfig", name)["spec"]
        assert backend["timeoutSec"] > EdgeSettings().request_timeout_s
        assert backend["healthCheck"]["port"] == port
        notes = manifests.one("Service", name)["metadata"]["annotations"]
        assert json.loads(notes["cloud.google.com/backend-config"]) == {"default": name}
    policy = manifests.one("NetworkPolicy", "google-load-balancers")["spec"]
    [rule] = policy["ingress"]
    assert any(_holds(peer, "35.191.3.4") for peer in rule["from"])
    assert {port["port"] for port in rule["ports"]} == {8004, 8501}


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_no_ingress_reaches_the_metrics(tmp_path: Path, overlay: str) -> None:
    manifests = with_component(tmp_path, "gateway", overlay)
    settings = read_settings(EdgeSettings, variables(manifests, "http-edge"))
    service = manifests.one("Service", "http-edge")["spec"]["ports"]
    ports = {port["name"]: port["port"] for port in service}
    assert settings.http_metrics_port == ports["metrics"] != settings.http_port
    routed = {
        backend["port"]
        for route in manifests.of("HTTPRoute")
        for rule in route["spec"]["rules"]
        for backend in rule["backendRefs"]
    }
    assert routed == {8004, 8501}
    for ingress in rendered(overlay).of("Ingress"):
        [path] = ingress["spec"]["rules"][0]["http"]["paths"]
        assert path["backend"]["service"]["port"] == {"name": "http"}


@pytest.mark.parametrize("components", [(), ("gateway",)])
def test_hosts_are_set_in_one_place(tmp_path: Path, components: tuple[str, ...]) -> None:
    manifests = own(
        tmp_path, "gpu", *components, api_host="api.b.example", ui_host="pages.b.example"
    )
    assert "voice.example" not in json.dumps(manifests.objects)
    edge, pages = variables(manifests, "http-edge"), variables(manifests, "ui")
    assert AllowedHosts(edge["ALLOWED_HOSTS"]).serve(["api.b.example"])
    assert AllowedHosts(pages["ALLOWED_HOSTS"]).serve(["pages.b.example"])
    assert edge["PUBLIC_SERVICE_URL"] == pages["PUBLIC_SERVICE_URL"] == "https://api.b.example"
    assert edge["UI_URL"] == "https://pages.b.example"
    for name, host in (("http-edge", "api.b.example"), ("ui", "pages.b.example")):
        if components:
            assert manifests.of("Ingress") == []
            assert manifests.one("HTTPRoute", name)["spec"]["hostnames"] == [host]
        else:
            [rule] = manifests.one("Ingress", name)["spec"]["rules"]
            assert rule["host"] == host
    # It is read by kustomize alone.
    assert [each for each in manifests.of("ConfigMap") if each["metadata"]["name"] == "hosts"] == []


def test_routes_of_a_gateway_end_no_stream_and_find_its_listeners(tmp_path: Path) -> None:
    manifests = with_component(tmp_path, "gateway")
    [gateway] = manifests.of("Gateway")
    listeners = {each["name"]: each for each in gateway["spec"]["listeners"]}
    for route in manifests.of("HTTPRoute"):
        [parent] = route["spec"]["parentRefs"]
        assert parent["name"] == gateway["metadata"]["name"]
        assert route["spec"]["hostnames"] == [listeners[parent["sectionName"]]["hostname"]]
        [rule] = route["spec"]["rules"]
        assert set(rule["timeouts"].values()) == {"0s"}  # none
        [backend] = rule["backendRefs"]
        ports = manifests.one("Service", backend["name"])["spec"]["ports"]
        assert backend["port"] in [port["port"] for port in ports]


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_two_cells_in_one_cluster_share_nothing(tmp_path: Path, overlay: str) -> None:
    manifests = own(tmp_path, overlay, api_host="api.b.example", ui_host="b.example")
    for each in manifests.objects:
        expected = None if each["kind"] in ("Namespace", "StorageClass") else "cell-b"
        assert each["metadata"].get("namespace") == expected, each["metadata"]["name"]
    [scaled] = manifests.of("ScaledObject")
    text = json.dumps(scaled["spec"])
    assert "voice-cloning" not in text
    [first] = rendered(overlay).of("ScaledObject")
    assert text == json.dumps(first["spec"]).replace("voice-cloning", "cell-b")
    labels = ("app.kubernetes.io/part-of", "pod-security.kubernetes.io/enforce")
    [namespace] = manifests.of("Namespace")
    assert namespace["metadata"]["name"] == "cell-b"
    assert set(labels) <= set(namespace["metadata"]["labels"])


def test_a_second_cell_is_monitored_without_a_second_copy_of_the_rules() -> None:
    assert rendered("monitoring-cell").of("PrometheusRule") == []
    assert len(rendered("monitoring").of("PrometheusRule")) == 1
    shared = [each for each in rendered("monitoring").objects if each["kind"] != "PrometheusRule"]
    assert shared == rendered("monitoring-cell").objects


def test_a_gpu_node_can_be_started_from_none(tmp_path: Path) -> None:
    pod = rendered("gpu").one("Deployment", "worker-xtts")["spec"]["template"]["spec"]
    # A group of no nodes has no labels of programs that run on nodes: only the device selects.
    assert "nodeSelector" not in pod
    assert "affinity" not in pod
    [container] = pod["containers"]
    for amounts in container["resources"].values():
        assert amounts["nvidia.com/gpu"] == "1"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod[
        "tolerations"
    ]
    assert "runtimeClassName" not in pod
    for component in ("nvidia-runtime", "k3s"):
        worker = with_component(tmp_path, component, "gpu").one("Deployment", "worker-xtts")
        assert worker["spec"]["template"]["spec"]["runtimeClassName"] == "nvidia"


@pytest.mark.parametrize("overlay", ["local", "cpu", "gpu"])
def test_services_wait_for_nats_and_its_streams_within_their_startup_probe(overlay: str) -> None:
    manifests = rendered(overlay)
    for name, container in manifests.containers():
        if name in ("nats", "ui", "prefetch-xtts"):
            continue
        waits_s = read_settings(ProcessSettings, manifests.variables(container)).nats_wait_s
        assert waits_s >= 120, name
        if name != "establish":  # a Job has no probe
            probe = container["startupProbe"]
            assert probe["periodSeconds"] * probe["failureThreshold"] >= waits_s + 60, name


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_a_full_backlog_exceeds_the_tolerance_of_the_autoscaler(overlay: str) -> None:
    """Admission bounds the backlog; if its bound were close to the threshold, nothing would ever scale."""
    manifests = rendered(overlay)
    [scaled] = manifests.of("ScaledObject")
    [due] = [each for each in scaled["spec"]["triggers"] if each["name"] == "due"]
    threshold_s = float(due["metadata"]["threshold"])
    engine = "embedded" if overlay == "cpu" else "xtts"
    worker = read_settings(WorkerSettings, variables(manifests, f"worker-{engine}"))
    edge = read_settings(EdgeSettings, variables(manifests, "http-edge"))
    slots = worker.worker_slots + worker.worker_express_slots
    for speed in [4.3] if engine == "embedded" else [0.5, 1, 2, 3.3, 6.4, 10, 40]:
        bound_s = max(speed * edge.queue_wait_s, slots * 2.0 / edge.tenant_share)
        assert bound_s / threshold_s > HPA_TOLERANCE * 1.2, speed
