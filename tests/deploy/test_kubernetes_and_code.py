"""The manifests agree with the code: names, ports, paths, settings, times, and network policies."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml
from prometheus_client import CollectorRegistry

import ui.settings
from services import __version__
from services.common.bus.nats.roles import service_roles
from services.common.bus.topology import sentences_consumer
from services.common.runtime.service_process import ProcessSettings
from services.common.runtime.settings import read_settings
from services.common.runtime.unknown_settings import misspelled
from services.common.wire.failures import EngineUnavailable, QueueFull
from services.http_edge.metrics import Metrics
from services.http_edge.settings import Settings as EdgeSettings
from services.http_edge.transport.host_names import AllowedHosts
from services.splitter.settings import Settings as SplitterSettings
from services.synth_worker.engines.registry import ENGINES as REGISTRY
from services.synth_worker.settings import Settings as WorkerSettings
from tests.deploy.manifests import (
    ROOT,
    Manifests,
    Object,
    labels_of,
    quantity,
    rendered,
    rendered_folder,
    selects,
    with_component,
)

ENGINES = {"local": "embedded", "cpu": "embedded", "gpu": "xtts"}
ROLES = {
    "http-edge": "edge",
    "splitter": "splitter",
    "worker-embedded": "worker",
    "worker-xtts": "worker",
    "establish": "operator",
}
SETTINGS: dict[str, type[msgspec.Struct]] = {
    "http-edge": EdgeSettings,
    "splitter": SplitterSettings,
    "worker-embedded": WorkerSettings,
    "worker-xtts": WorkerSettings,
    "prefetch-xtts": WorkerSettings,
    "establish": ProcessSettings,
}
HUB_SETTINGS = {"HF_HOME", "HF_HUB_OFFLINE"}  # of huggingface_hub itself
# where a DNS cache on a node, or the DNS Service itself, may answer
CLUSTER_ADDRESSES = {
    "169.254.0.0/16",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "34.118.224.0/20",
    "fc00::/7",
    "fe80::/10",
}
BY_THE_OPERATOR = {
    "Secret": {
        "nats-users",
        "nats-tls",
        "nats-store-key",
        "nats-edge",
        "nats-splitter",
        "nats-worker",
        "nats-operator",
        "ingress-tls",
    },
    "ConfigMap": {"nats-ca"},
}

overlays = pytest.mark.parametrize("overlay", list(ENGINES))


def test_every_deployed_engine_has_an_overlay() -> None:
    assert set(ENGINES.values()) == {name for name, spec in REGISTRY.items() if spec.deployed}


def source(name: str) -> str:
    """Return all lines of a service."""
    folder = ROOT / ("ui" if name == "ui" else "services")
    return "\n".join(path.read_text() for path in sorted(folder.rglob("*.py")))


def pod_of(manifests: Manifests, name: str) -> Object:
    return dict(manifests.pods())[name]


def only(pod: Object) -> Object:
    (container,) = pod["spec"]["containers"]
    return container  # type: ignore[no-any-return]


def services(manifests: Manifests) -> Iterator[tuple[str, Object]]:
    """Yield what is ours: all but NATS."""
    return ((name, container) for name, container in manifests.containers() if name != "nats")


@overlays
def test_every_variable_is_a_setting_and_every_value_is_taken(overlay: str) -> None:
    manifests = rendered(overlay)
    for name, container in services(manifests):
        variables = manifests.variables(container)
        if name == "ui":
            known = {field.upper() for field in ui.settings.Settings.__dataclass_fields__}
            ui.settings.settings_from(variables)
        else:
            known = {
                field.name.upper() for field in msgspec.structs.fields(SETTINGS[name])
            } | HUB_SETTINGS
            if name in (
                "splitter",
                "establish",
            ):  # of the settings that all are given, ENGINE is not theirs
                known |= {"ENGINE"}
            read_settings(SETTINGS[name], variables)
        assert set(variables) <= known, name
        assert list(misspelled(variables)) == []


@overlays
def test_ports_are_those_that_the_services_are_given(overlay: str) -> None:
    manifests = rendered(overlay)
    told = {
        "http": ("HTTP_PORT", "UI_PORT"),
        "metrics": ("HTTP_METRICS_PORT",),
        "health": ("SPLITTER_HEALTH_PORT", "WORKER_HEALTH_PORT"),
    }
    for name, container in services(manifests):
        variables = manifests.variables(container)
        for port in container.get("ports", []):
            (said,) = [variables[key] for key in told[port["name"]] if key in variables]
            assert port["containerPort"] == int(said), name
            hosts = [value for key, value in variables.items() if key.endswith("_HOST")]
            assert hosts == ["0.0.0.0"], name
    for service, ports in (("nats", [4222]), ("http-edge", [8004, 9100]), ("ui", [8501])):
        served = manifests.one("Service", service)["spec"]["ports"]
        assert [each["port"] for each in served] == ports


@overlays
def test_addresses_name_services_and_their_ports(overlay: str) -> None:
    manifests = rendered(overlay)
    urls = [
        url
        for _, container in services(manifests)
        for key, value in manifests.variables(container).items()
        if key in ("NATS_URL", "SERVICE_URL")
        for url in value.split(",")
    ]
    endpoints = [
        "http://" + trigger["metadata"]["natsServerMonitoringEndpoint"]
        for scaled in manifests.of("ScaledObject")
        for trigger in scaled["spec"]["triggers"]
        if trigger["type"] == "nats-jetstream"
    ]
    for url in map(urlsplit, urls + endpoints):
        name, *rest = (url.hostname or "").split(".")
        assert rest in ([], ["voice-cloning", "svc"])
        assert url.port in [
            port["port"] for port in manifests.one("Service", name)["spec"]["ports"]
        ]
    assert len(urls) >= 4


@overlays
def test_no_service_sets_variables_of_others(overlay: str) -> None:
    for name, pod in rendered(overlay).pods():
        # "ui" would set UI_PORT to tcp://...
        assert pod["spec"]["enableServiceLinks"] is False, name


@overlays
def test_what_is_referred_to_is_there_or_is_the_operators(overlay: str) -> None:
    manifests = rendered(overlay)
    there = {each["metadata"]["name"] for each in manifests.of("ConfigMap", "Secret")}
    page = (ROOT / "docs" / "deploy.md").read_text()
    for kind, name in _referred(manifests.objects):
        assert name in there | BY_THE_OPERATOR[kind], (kind, name)
        if name in BY_THE_OPERATOR[kind]:
            assert name in page
    for workload, role in ROLES.items():
        if workload in dict(manifests.pods()):
            referred = {name for _, name in _referred([pod_of(manifests, workload)])}
            assert {
                name
                for name in referred
                if re.fullmatch("nats-(edge|splitter|worker|operator)", name)
            } == {f"nats-{role}"}


def _referred(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for each in value:
            yield from _referred(each, key)
    elif isinstance(value, dict):
        kind = {"secret": "Secret", "configMap": "ConfigMap", "configMapRef": "ConfigMap",
                "configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}.get(key)  # fmt: skip
        name = value.get("name") or value.get("secretName")
        if kind and name:
            yield kind, name
        elif value.get("secretName"):
            yield "Secret", value["secretName"]
        for inner, each in value.items():
            yield from _referred(each, inner)


@overlays
def test_credentials_are_where_the_settings_say(overlay: str) -> None:
    manifests = rendered(overlay)
    for name, container in services(manifests):
        variables = manifests.variables(container)
        mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        for key in ("NATS_NKEY_SEED_FILE", "NATS_CA_FILE"):
            if key in variables:
                folder, file = variables[key].rsplit("/", 1)
                assert mounts[folder] == "nats", name
                assert file in ("seed", "ca.crt")
    for name in ("http-edge", "splitter"):
        assert "NATS_NKEY_SEED_FILE" in manifests.variables(only(pod_of(manifests, name)))


@overlays
def test_probes_ask_paths_that_are_served(overlay: str) -> None:
    manifests = rendered(overlay)
    for name, container in services(manifests):
        if name in ("prefetch-xtts", "establish"):
            continue
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            path = container[probe]["httpGet"]["path"]
            # Streamlit has its own, as the local start does.
            assert f'"{path}"' in source(name) or (name == "ui" and path == "/_stcore/health"), (
                name,
                path,
            )
        assert container["livenessProbe"]["httpGet"]["path"] in ("/livez", "/_stcore/health")
    for name in ("splitter", f"worker-{ENGINES[overlay]}"):
        assert only(pod_of(manifests, name))["readinessProbe"]["httpGet"]["path"] == "/readyz"
    edge = only(pod_of(manifests, "http-edge"))
    assert edge["readinessProbe"]["httpGet"]["path"] == (
        "/livez" if overlay == "gpu" else "/readyz"
    )


@overlays
def test_a_worker_is_given_time_to_load(overlay: str) -> None:
    probe = only(pod_of(rendered(overlay), f"worker-{ENGINES[overlay]}"))["startupProbe"]
    assert probe["httpGet"]["path"] == "/readyz"
    assert probe["periodSeconds"] * probe["failureThreshold"] >= (
        360 if ENGINES[overlay] == "xtts" else 60
    )


@overlays
def test_every_service_has_time_to_stop(overlay: str) -> None:
    manifests = rendered(overlay)

    def grace_s(name: str) -> float:
        return float(pod_of(manifests, name)["spec"]["terminationGracePeriodSeconds"])

    def pause_s(name: str) -> float:
        return float(
            only(pod_of(manifests, name))
            .get("lifecycle", {})
            .get("preStop", {})
            .get("sleep", {})
            .get("seconds", 0)
        )

    for name in ("http-edge", "splitter", f"worker-{ENGINES[overlay]}"):
        settings = read_settings(SETTINGS[name], manifests.variables(only(pod_of(manifests, name))))
        assert pause_s(name) + settings.exit_s <= grace_s(name), name  # type: ignore[attr-defined]
    drain_s = float(manifests.variables(only(pod_of(manifests, "http-edge")))["HTTP_DRAIN_S"])
    assert drain_s >= 5  # a proxy has noticed
    assert 5 <= pause_s("ui") < grace_s("ui")
    server = manifests.one("ConfigMap", "nats-config")["data"]["nats.conf"]
    waits_s = [
        int(found) for found in re.findall(r"lame_duck_(?:grace_period|duration): (\d+)s", server)
    ]
    assert len(waits_s) == 2
    assert sum(waits_s) <= grace_s("nats") - 10


@overlays
def test_images_are_ours_at_this_version_or_pinned(overlay: str) -> None:
    built = {
        path.name.removesuffix(".Dockerfile")
        for path in (ROOT / "deploy" / "images").glob("*.Dockerfile")
    }
    names = {"http-edge", "splitter", "worker-cpu", "worker-gpu", "ui"}
    assert built == names
    for name, container in rendered(overlay).containers():
        if name == "nats":
            assert re.fullmatch(r"nats:\d+\.\d+\.\d+-alpine", container["image"])
        else:
            expected = {
                "worker-embedded": "worker-cpu",
                "worker-xtts": "worker-gpu",
                "prefetch-xtts": "worker-gpu",
            }
            expected["establish"] = "splitter"
            assert container["image"] == f"voice-cloning/{expected.get(name, name)}:{__version__}"


@pytest.mark.parametrize(
    ("job", "image"), [("prefetch-xtts", "worker-gpu"), ("establish", "splitter")]
)
def test_a_job_starts_a_module_that_its_image_has(job: str, image: str) -> None:
    command = only(pod_of(rendered("gpu"), job))["command"]
    assert command[:2] == ["python", "-m"]
    module = Path(*command[2].split("."))
    module = module / "__main__.py" if (ROOT / module).is_dir() else module.with_suffix(".py")
    assert (ROOT / module).exists()
    recipe = (ROOT / "deploy" / "images" / f"{image}.Dockerfile").read_text()
    copied = re.findall(r"^COPY (services/\S+)", recipe, re.MULTILINE)
    assert [path for path in copied if module.is_relative_to(path)] != []


@overlays
def test_every_service_has_a_role_and_receives_its_answers(overlay: str) -> None:
    manifests = rendered(overlay)
    prefixes = {role.name: role.inbox_prefix for role in service_roles([ENGINES[overlay]])}
    for name, container in services(manifests):
        if name in ROLES:
            variables = manifests.variables(container)
            assert variables["NATS_INBOX_PREFIX"] == prefixes[ROLES[name]]
            assert read_settings(ProcessSettings, variables).nats_establish is False


def test_no_licence_is_accepted_for_the_operator() -> None:
    manifests = rendered("gpu")
    for name in ("worker-xtts", "prefetch-xtts"):
        variables = manifests.variables(only(pod_of(manifests, name)))
        assert read_settings(WorkerSettings, variables).coqui_tos_agreed is False


def test_an_overlay_as_the_page_has_it_accepts_the_licence(tmp_path: Path) -> None:
    (text,) = re.findall(
        r"```yaml\n(resources: .*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL
    )
    up = "../" * len(tmp_path.parts[1:])
    (tmp_path / "kustomization.yaml").write_text(
        text.replace("../voice-cloning/", f"{up}{str(ROOT)[1:]}/")
    )
    manifests = rendered_folder(tmp_path)
    for name in ("worker-xtts", "prefetch-xtts"):
        variables = manifests.variables(only(pod_of(manifests, name)))
        assert read_settings(WorkerSettings, variables).coqui_tos_agreed is True
    ingress = manifests.one("Ingress", "http-edge")["spec"]
    assert served_names(manifests, "http-edge") == ingress["rules"][0]["host"]
    assert (ingress["ingressClassName"], ingress["rules"][0]["host"]) == (
        "nginx",
        "api.voice.your.example",
    )
    assert only(pod_of(manifests, "http-edge"))["image"].startswith("registry.example/http-edge:")


def test_with_keys_the_edge_reads_their_hashes_and_the_pages_send_one(tmp_path: Path) -> None:
    manifests = with_component(tmp_path, "api-keys")
    edge, pages = pod_of(manifests, "http-edge"), only(pod_of(manifests, "ui"))
    variables = manifests.variables(only(edge))
    folder, file = read_settings(EdgeSettings, variables).api_keys_file.rsplit("/", 1)
    (mount,) = [each["name"] for each in only(edge)["volumeMounts"] if each["mountPath"] == folder]
    (secret,) = [
        each["secret"]["secretName"] for each in edge["spec"]["volumes"] if each["name"] == mount
    ]
    (sent,) = [
        each["valueFrom"]["secretKeyRef"] for each in pages["env"] if each["name"] == "API_KEY"
    ]
    assert "api_key" in ui.settings.Settings.__dataclass_fields__
    page = (ROOT / "docs" / "deploy.md").read_text()
    assert f"`{secret}`, `{file}`" in page
    assert f"`{sent['name']}`, `{sent['key']}`" in page


def test_the_weights_are_fetched_to_where_workers_look() -> None:
    manifests = rendered("gpu")
    found = []
    for name in ("worker-xtts", "prefetch-xtts"):
        pod = pod_of(manifests, name)
        variables = manifests.variables(only(pod))
        (claim,) = [
            each["persistentVolumeClaim"]
            for each in pod["spec"]["volumes"]
            if "persistentVolumeClaim" in each
        ]
        (mount,) = [
            each["mountPath"] for each in only(pod)["volumeMounts"] if each["name"] == "models"
        ]
        assert variables["MODEL_CACHE"].startswith(mount)
        found.append((claim["claimName"], mount, variables["HF_HOME"], variables["MODEL_CACHE"]))
    assert found[0] == found[1]
    assert "HF_HUB_OFFLINE" not in manifests.variables(only(pod_of(manifests, "prefetch-xtts")))


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_workers_are_scaled_by_consumers_that_exist(overlay: str) -> None:
    manifests, engine = rendered(overlay), ENGINES[overlay]
    (scaled,) = manifests.of("ScaledObject")
    target = manifests.one("Deployment", scaled["spec"]["scaleTargetRef"]["name"])
    assert "replicas" not in target["spec"]
    settings = read_settings(
        WorkerSettings, manifests.variables(target["spec"]["template"]["spec"]["containers"][0])
    )
    assert settings.engine == engine
    queues = [
        each["metadata"] for each in scaled["spec"]["triggers"] if each["type"] == "nats-jetstream"
    ]
    consumers = [sentences_consumer(engine, "standard"), sentences_consumer(engine, "express")]
    assert [(each["stream"], each["consumer"]) for each in queues] == [
        (each.stream, each.name) for each in consumers
    ]
    slots = settings.worker_slots + settings.worker_express_slots
    # planned at 60 %
    assert all(0.5 <= int(each["lagThreshold"]) / slots <= 0.7 for each in queues)
    assert {each["account"] for each in queues} == {"TTS"}
    assert all(
        isinstance(value, str)
        for each in scaled["spec"]["triggers"]
        for value in each["metadata"].values()
    )


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_workers_are_scaled_by_figures_that_edges_have(overlay: str) -> None:
    registry = Metrics().registry
    known = {
        each.name + ("_total" if each.type == "counter" else "") for each in registry.collect()
    }
    (scaled,) = rendered(overlay).of("ScaledObject")
    queries = {
        each["name"]: each["metadata"]["query"]
        for each in scaled["spec"]["triggers"]
        if each["type"] == "prometheus"
    }
    assert set(queries) == {"due", "queued", "jobs"} | ({"refused"} if overlay == "gpu" else set())
    for query in queries.values():
        named = set(re.findall(r"tts_\w+", query))
        assert named
        assert named <= known
        codes = set(re.findall(r'code="(\w+)"', query))
        assert codes <= {EngineUnavailable.code, QueueFull.code}
        assert codes <= {labels["code"] for labels in labels_at_start(registry)}
        assert set(re.findall(r'namespace="([\w-]+)"', query)) == {"voice-cloning"}


def labels_at_start(registry: CollectorRegistry) -> list[dict[str, str]]:
    """Return the labels of the failures that an edge exports before the first one."""
    return [
        sample.labels
        for metric in registry.collect()
        if metric.name == "tts_failures"
        for sample in metric.samples
        if sample.name == "tts_failures_total"
    ]


def test_only_a_gpu_is_scaled_to_none() -> None:
    assert rendered("gpu").of("ScaledObject")[0]["spec"]["minReplicaCount"] == 0
    (embedded,) = rendered("cpu").of("ScaledObject")
    assert embedded["spec"]["minReplicaCount"] >= 2


@overlays
def test_the_edge_sends_to_the_workers_that_exist(overlay: str) -> None:
    manifests = rendered(overlay)
    edge = read_settings(EdgeSettings, manifests.variables(only(pod_of(manifests, "http-edge"))))
    workers = [name for name, _ in manifests.pods() if name.startswith("worker-")]
    assert workers == [f"worker-{edge.engine}"] == [f"worker-{ENGINES[overlay]}"]


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_whatever_a_budget_keeps_is_there_twice(overlay: str) -> None:
    manifests = rendered(overlay)
    kept = {
        each["metadata"]["name"]: each["spec"]["maxUnavailable"]
        for each in manifests.of("PodDisruptionBudget")
    }
    assert set(kept) == {"nats", "http-edge", "splitter", f"worker-{ENGINES[overlay]}"}
    for each in manifests.of("PodDisruptionBudget"):
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert kept.pop(f"worker-{ENGINES[overlay]}") == "25%"  # rounded up: one of two
    assert set(kept.values()) == {1}
    replicas = {
        each["metadata"]["name"]: each["spec"].get("replicas")
        for each in manifests.of("Deployment", "StatefulSet")
    }
    assert {name: replicas[name] for name in ("nats", "http-edge", "splitter")} == {
        "nats": 3,
        "http-edge": 2,
        "splitter": 2,
    }


@overlays
def test_no_pod_may_do_more_than_it_must(overlay: str) -> None:
    for name, pod in rendered(overlay).pods():
        context, container = pod["spec"]["securityContext"], only(pod)
        assert context["runAsNonRoot"], name
        assert (context["runAsUser"], context["runAsGroup"], context["fsGroup"]) == (
            10001,
            10001,
            10001,
        )
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        places = {
            each["name"]: each["mountPath"]
            for each in container["volumeMounts"]
            if not each.get("readOnly")
        }
        assert places.pop("tmp") == "/tmp"
        assert set(places) <= {"models", "data"}, name
        assert quantity(container["resources"]["limits"]["memory"]) > 0


def test_large_uploads_and_streams_pass_the_ingress() -> None:
    manifests = rendered("cpu")
    notes = manifests.one("Ingress", "http-edge")["metadata"]["annotations"]
    for key in ("nginx.org/client-max-body-size", "nginx.ingress.kubernetes.io/proxy-body-size"):
        assert int(notes[key].removesuffix("m")) * 1024 * 1024 > EdgeSettings().max_upload_bytes
    assert (
        notes["nginx.org/proxy-buffering"],
        notes["nginx.ingress.kubernetes.io/proxy-buffering"],
    ) == (
        "False",
        "off",
    )
    assert notes["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off"
    assert notes["nginx.org/proxy-read-timeout"] == "600s"
    for ingress in manifests.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            (path,) = rule["http"]["paths"]
            backend = path["backend"]["service"]
            ports = manifests.one("Service", backend["name"])["spec"]["ports"]
            assert backend["port"]["name"] in [port["name"] for port in ports]
            assert rule["host"] in [
                host for each in ingress["spec"]["tls"] for host in each["hosts"]
            ]


def served_names(manifests: Manifests, name: str) -> str:
    """Return the ALLOWED_HOSTS of a Deployment."""
    [container] = manifests.one("Deployment", name)["spec"]["template"]["spec"]["containers"]
    [value] = [
        variable["value"] for variable in container["env"] if variable["name"] == "ALLOWED_HOSTS"
    ]
    return str(value)


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_the_names_of_an_ingress_are_served_by_what_is_behind_it(overlay: str) -> None:
    manifests = rendered(overlay)
    for name in ("http-edge", "ui"):
        [rule] = manifests.one("Ingress", name)["spec"]["rules"]
        assert AllowedHosts(served_names(manifests, name)).serve([rule["host"]])
        assert not AllowedHosts("").serve([rule["host"]])


def test_the_rules_are_those_that_are_tested() -> None:
    files = [
        ROOT / "deploy" / "prometheus" / "rules" / f"{name}.yml" for name in ("recording", "alerts")
    ]
    assert set(files) == set(files[0].parent.glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    assert rendered("monitoring").one("PrometheusRule", "voice-cloning")["spec"]["groups"] == groups


def test_prometheus_finds_every_process_under_its_job() -> None:
    manifests, monitors = rendered("cpu"), rendered("monitoring")
    edge = monitors.one("ServiceMonitor", "http-edge")["spec"]
    service = manifests.one("Service", "http-edge")
    assert selects(edge["selector"], service["metadata"]["labels"])
    assert service["metadata"]["labels"][edge["jobLabel"]] == "http-edge"
    assert [each["port"] for each in edge["endpoints"]] == ["metrics"]
    assert "metrics" in [port["name"] for port in service["spec"]["ports"]]
    pods = monitors.one("PodMonitor", "splitters-and-workers")["spec"]
    jobs = {
        name: labels_of(pod)[pods["jobLabel"]]
        for overlay in ("cpu", "gpu")
        for name, pod in rendered(overlay).pods()
        if selects(pods["selector"], labels_of(pod))
    }
    assert jobs == {"splitter": "splitter", "worker-embedded": "worker", "worker-xtts": "worker"}
    for name in ("splitter", "worker-embedded"):
        (port,) = [each["name"] for each in only(pod_of(manifests, name))["ports"]]
        assert [each["port"] for each in pods["podMetricsEndpoints"]] == [port]


def _allowed(manifests: Manifests) -> set[tuple[str, str, int]]:
    """Return which pods may connect to which: both the egress of the one and the ingress of the other allow it."""
    pods = {name: labels_of(pod) for name, pod in manifests.pods()}
    ways = set()
    for (one, from_labels), (other, to_labels) in itertools.product(pods.items(), repeat=2):
        out = _free(manifests, "egress", "to", from_labels, to_labels)
        ways |= {
            (one, other, port)
            for port in out & _free(manifests, "ingress", "from", to_labels, from_labels)
        }
    return ways


def _free(
    manifests: Manifests, way: str, whom: str, own: dict[str, str], others: dict[str, str]
) -> set[int]:
    return {
        port["port"]
        for policy in manifests.of("NetworkPolicy")
        if selects(policy["spec"]["podSelector"], own)
        for rule in policy["spec"].get(way, [])
        if any(
            set(peer) == {"podSelector"} and selects(peer["podSelector"], others)
            for peer in rule[whom]
        )
        for port in rule["ports"]
    }


def _outside(manifests: Manifests) -> set[tuple[str, str, str, int]]:
    """Return the ways to and from other places: the direction, our pods, the place, the port."""
    found = set()
    for policy in manifests.of("NetworkPolicy"):
        for way, whom in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(way, []):
                for peer, port in itertools.product(rule[whom], rule["ports"]):
                    place = peer.get("namespaceSelector", {}).get("matchLabels", {}) or peer.get(
                        "ipBlock", {}
                    )
                    if place:
                        at = (
                            place.get("kubernetes.io/metadata.name")
                            or place.get("cidr")
                            or next(iter(place))
                        )
                        found.add((way, policy["metadata"]["name"], at, port["port"]))
    return found


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_the_ways_of_the_pipeline_are_free_and_no_others(overlay: str) -> None:
    manifests, worker = rendered(overlay), f"worker-{ENGINES[overlay]}"
    nobody = manifests.one("NetworkPolicy", "nobody")["spec"]
    assert nobody == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in manifests.of("NetworkPolicy"):
        ways = {way for way in ("ingress", "egress") if policy["spec"].get(way)}
        assert ways <= {kind.lower() for kind in policy["spec"]["policyTypes"]}
    assert _allowed(manifests) == {
        ("http-edge", "nats", 4222),
        ("splitter", "nats", 4222),
        (worker, "nats", 4222),
        ("nats", "nats", 6222),
        ("establish", "nats", 4222),
        ("ui", "http-edge", 8004),
    }
    expected = {
        ("ingress", "http-edge", "voice-cloning/ingress", 8004),
        ("ingress", "ui", "voice-cloning/ingress", 8501),
        ("ingress", "scaling", "keda", 8222),
        ("egress", "names", "kube-system", 53),
    } | {("egress", "names", addresses, 53) for addresses in CLUSTER_ADDRESSES}
    assert _outside(manifests) == expected | (
        {("egress", "prefetch-xtts", "0.0.0.0/0", 443)} if overlay == "gpu" else set()
    )


def test_prometheus_reaches_what_it_asks() -> None:
    manifests = rendered("cpu")
    for policy in rendered("monitoring").of("NetworkPolicy"):
        selected = [
            pod
            for _, pod in manifests.pods()
            if selects(policy["spec"]["podSelector"], labels_of(pod))
        ]
        served = {
            port["containerPort"]
            for pod in selected
            for port in only(pod)["ports"]
            if port["name"] in ("metrics", "health")
        }
        assert {
            port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]
        } == served
