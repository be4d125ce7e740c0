"""The values of the Helm chart: each reaches its objects, and a wrong one is refused with what to send."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.helm import CHART, HELMS, Key, comparable, error, objects
from tests.deploy.manifests import ROOT, WORKLOADS, Manifests, Object
from tests.deploy.test_kubernetes_and_code import BY_THE_OPERATOR
from tests.deploy.test_kubernetes_schemas import NEWEST, OLDEST, complaints

helms = pytest.mark.parametrize("program", HELMS)
LICENCE = {"engines.xtts.enabled": True, "engines.xtts.acceptLicence": True}


def found(program: str, values: dict[str, Any], *files: Path) -> dict[Key, Object]:
    return comparable(objects(program, *files, values))


def container(of: dict[Key, Object], kind: str, name: str) -> Object:
    first: Object = of[kind, name]["spec"]["template"]["spec"]["containers"][0]
    return first


def variables(of: dict[Key, Object], kind: str, name: str) -> dict[str, str]:
    return {
        each["name"]: each.get("value", "") for each in container(of, kind, name).get("env", [])
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"engines.embedded.enabled": False}, "engines: enable at least one"),
        ({"engines.xtts.enabled": True}, "engines.xtts.acceptLicence: set it to true if you accept"),
        ({"engine": "xtts"}, "engine: xtts is not enabled: set engines.xtts.enabled to true"),
        ({"engines.embedded.replicas": 0}, "engines.embedded.replicas: send at least 1"),
        (
            {"engines.embedded.scaling.minReplicaCount": 65},
            "engines.embedded.scaling: minReplicaCount is greater than maxReplicaCount",
        ),
        (
            {"engines.embedded.scaling.thresholds.due": "fast"},
            "engines.embedded.scaling.thresholds.due: send a number",
        ),
        ({"hosts.api": "https://api.example.org"}, "hosts.api: https://api.example.org: send a host"),
        ({"hosts.ui": "voice.example:443"}, "hosts.ui: voice.example:443: send a host name"),
        ({"hosts.ui": "api.voice.example"}, "hosts: send different names for api and ui"),
        ({"publicUrl": "api.example.org"}, "publicUrl: api.example.org: send a URL"),
        ({"expose": "gateway"}, "gateway.parentRefs: name your Gateway"),
        ({"settings.ENGINE": "xtts"}, "settings.ENGINE: is set by the chart"),
        ({"settings.audio_kept_s": "60"}, "settings.audio_kept_s: send the name of a setting"),
        ({"edge.env.HTTP_PORT": "80"}, "edge.env.HTTP_PORT: is set by the chart; remove it"),
        ({"nats.url": "nats://other:4222"}, "nats.url: set nats.enabled to false"),
        ({"nats.enabled": False, "nats.url": "http://other"}, "nats.url: http://other: send nats://"),
        ({"nats.keys": {"users": "accounts {}"}}, "nats.keys.storeKey: is missing"),
        ({"images.repository": "registry.example/tts:1"}, "images.repository: send registry and path"),
        ({"images.nats": "nats"}, "images.nats: send the image with its version"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_refused(values: dict[str, Any], message: str) -> None:
    for program in HELMS:
        assert message in error(program, values)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"replica": 2}, "replica"),
        ({"edge.replica": 2}, "replica"),
        ({"edge.replicas": "two"}, "replicas"),
        ({"edge.replicas": 0}, "replicas"),
        ({"nats.replicas": 2}, "replicas"),
        ({"expose": "loadbalancer"}, "expose"),
        ({"images.pullPolicy": "Sometimes"}, "pullPolicy"),
        ({"imagePullSecrets": ["registry"]}, "imagePullSecrets"),
        ({"nats.storage.size": "32 GB"}, "size"),
        ({"engines.gpu.enabled": True}, "gpu"),
    ],
)
def test_values_of_a_wrong_name_or_type_are_refused(values: dict[str, Any], field: str) -> None:
    for program in HELMS:
        said = error(program, values)
        assert "don't meet the specifications of the schema" in said
        assert field in said


def properties(schema: Any, path: str = "") -> set[str]:
    """Return the path of every value that the schema names."""
    own = schema.get("properties", {})
    return {f"{path}{name}" for name in own} | {
        below for name, each in own.items() for below in properties(each, f"{path}{name}.")
    }


def paths(values: Any, path: str = "") -> set[str]:
    """Return the path of every value in values.yaml."""
    if not isinstance(values, dict):
        return set()

    return {f"{path}{name}" for name in values} | {
        below for name, each in values.items() for below in paths(each, f"{path}{name}.")
    }


def test_the_schema_and_values_yaml_name_the_same_values() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    free = (
        ".env.",
        ".settings.",
        ".resources.",
        ".nodeSelector.",
        ".thresholds.",
        ".monitoring.labels.",
    )
    named = {path for path in paths(values) if not any(part in f".{path}" for part in free)}
    known = {path for path in properties(schema) if not path.startswith("nats.keys.")}
    assert named == known - {"global"}


@helms
def test_a_registry_and_a_tag_apply_to_every_image_of_ours(program: str) -> None:
    values = {"images.repository": "registry.example/tts", "images.tag": "1.2.3"}
    images = {
        each["image"]
        for one in objects(program, values | LICENCE)
        if one["kind"] in WORKLOADS
        for each in one["spec"]["template"]["spec"]["containers"]
    }
    services = ("http-edge", "splitter", "ui", "worker-cpu", "worker-gpu")
    ours = {f"registry.example/tts/{name}:1.2.3" for name in services}
    assert images >= ours
    assert all(image.startswith("registry.example/tts/") or ":" in image for image in images)
    assert not any("voice-cloning/" in image or image.endswith(":latest") for image in images)


@helms
def test_workers_can_be_updated_before_splitters_and_edges(program: str) -> None:
    tags = {"images.tag": "2", "splitter.tag": "1", "edge.tag": "1"}
    of = found(program, tags)
    images = {key[1]: container(of, *key)["image"] for key in of if key[0] in ("Deployment", "Job")}
    assert {name: image.partition(":")[2] for name, image in images.items()} == {
        "worker-embedded": "2",
        "splitter": "1",
        "http-edge": "1",
        "ui": "2",
        "establish": "2",
    }


@helms
def test_the_hosts_are_set_in_one_place(program: str) -> None:
    given = {"hosts.api": "api.example.org", "hosts.ui": "tts.example.org"}
    of = found(program, given)
    assert variables(of, "Deployment", "http-edge")["ALLOWED_HOSTS"] == "api.example.org"
    ui = variables(of, "Deployment", "ui")
    assert ui["ALLOWED_HOSTS"] == "tts.example.org"
    assert ui["PUBLIC_SERVICE_URL"] == "https://api.example.org"
    assert of["Ingress", "http-edge"]["spec"]["rules"][0]["host"] == "api.example.org"
    assert of["Ingress", "ui"]["spec"]["tls"][0]["hosts"] == ["tts.example.org"]
    assert "voice.example" not in str(of)


@helms
def test_a_gateway_replaces_the_ingress(program: str) -> None:
    parents = [{"name": "public", "namespace": "gateways"}]
    of = found(program, {"expose": "gateway", "gateway.parentRefs": parents})
    assert not [key for key in of if key[0] == "Ingress"]
    api, ui = of["HTTPRoute", "http-edge"]["spec"], of["HTTPRoute", "ui"]["spec"]
    assert (api["hostnames"], ui["hostnames"]) == (["api.voice.example"], ["voice.example"])
    assert api["parentRefs"] == ui["parentRefs"] == parents
    assert {each["name"] for route in (api, ui) for rule in route["rules"] for each in rule.get("backendRefs", [])} == {
        "http-edge",
        "ui",
    }  # fmt: skip


@helms
def test_settings_of_one_service_replace_those_of_the_manifests(program: str) -> None:
    of = found(
        program,
        {
            "edge.env": {"HTTP_DRAIN_S": 20, "QUEUE_WAIT_S": 7.5},
            "engines.embedded.env.WORKER_SLOTS": "4",
            "settings": {"AUDIO_STORE_BYTES": 8589934592},
        },
    )
    edge = container(of, "Deployment", "http-edge")["env"]
    assert len({each["name"] for each in edge}) == len(edge)
    edge_variables = variables(of, "Deployment", "http-edge")
    assert (edge_variables["HTTP_DRAIN_S"], edge_variables["QUEUE_WAIT_S"]) == ("20", "7.5")
    assert variables(of, "Deployment", "worker-embedded")["WORKER_SLOTS"] == "4"
    assert of["ConfigMap", "settings"]["data"]["AUDIO_STORE_BYTES"] == "8589934592"


@helms
def test_pods_are_placed_and_pulled_as_the_values_say(program: str) -> None:
    of = found(
        program,
        LICENCE
        | {
            "imagePullSecrets": [{"name": "registry"}],
            "engines.xtts.nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-l4"},
            "engines.xtts.runtimeClassName": "nvidia",
            "edge.priorityClassName": "high",
            "nats.storage.className": "gp3",
            "engines.xtts.storage": {"className": "efs", "size": "20Gi"},
        },
    )
    pods = [each["spec"]["template"]["spec"] for key, each in of.items() if key[0] in WORKLOADS]
    assert len(pods) > 6
    assert all(pod["imagePullSecrets"] == [{"name": "registry"}] for pod in pods)
    gpu = of["Deployment", "worker-xtts"]["spec"]["template"]["spec"]
    assert gpu["nodeSelector"]["cloud.google.com/gke-accelerator"] == "nvidia-l4"
    assert gpu["runtimeClassName"] == "nvidia"
    edge = of["Deployment", "http-edge"]["spec"]["template"]["spec"]
    assert edge["priorityClassName"] == "high"
    claim = of["StatefulSet", "nats"]["spec"]["volumeClaimTemplates"][0]["spec"]
    assert claim["storageClassName"] == "gp3"
    weights = of["PersistentVolumeClaim", "models-xtts"]["spec"]
    assert weights["storageClassName"] == "efs"
    assert weights["resources"]["requests"]["storage"] == "20Gi"


@helms
def test_other_nats_servers_replace_those_of_the_chart(program: str) -> None:
    peers = [{"ipBlock": {"cidr": "10.9.0.0/24"}}]
    egress = [{"to": peers, "ports": [{"protocol": "TCP", "port": 4222}]}]
    of = found(
        program,
        {"nats.enabled": False, "nats.url": "tls://nats.example:4222", "nats.egress": egress},
    )
    assert not [key for key in of if key[0] in ("StatefulSet", "Service") and "nats" in key[1]]
    assert ("ConfigMap", "nats-config") not in of
    assert of["ConfigMap", "settings"]["data"]["NATS_URL"] == "tls://nats.example:4222"
    assert egress[0] in of["NetworkPolicy", "nats-client"]["spec"]["egress"]


@helms
def test_the_size_of_the_store_reaches_the_servers(program: str) -> None:
    of = found(program, {"nats.storage": {"size": "64Gi", "maxFileStore": "48GB"}})
    assert "max_file_store: 48GB\n" in of["ConfigMap", "nats-config"]["data"]["nats.conf"]
    claim = of["StatefulSet", "nats"]["spec"]["volumeClaimTemplates"][0]["spec"]
    assert claim["resources"]["requests"]["storage"] == "64Gi"


@helms
def test_five_servers_have_five_routes(program: str) -> None:
    of = found(program, {"nats.replicas": 5})
    configuration = of["ConfigMap", "nats-config"]["data"]["cluster.conf"]
    assert [f"nats://nats-{n}.nats-headless:6222" in configuration for n in range(6)] == [
        True
    ] * 5 + [False]


@helms
def test_a_change_restarts_the_pods_that_read_it_and_creates_its_job(program: str) -> None:
    def state(values: dict[str, Any]) -> tuple[str, set[str]]:
        all_ = objects(program, values)
        (edge,) = [
            each
            for each in all_
            if (each["kind"], each["metadata"]["name"]) == ("Deployment", "http-edge")
        ]
        jobs = {each["metadata"]["name"] for each in all_ if each["kind"] == "Job"}
        return str(edge["spec"]["template"]["metadata"]["annotations"]), jobs

    before = state({})
    assert state({}) == before
    after = state({"settings.AUDIO_KEPT_S": "700"})
    assert after[0] != before[0]
    assert not before[1] & after[1]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return values.yaml as the command in the README writes it."""
    folder = tmp_path_factory.mktemp("keys")
    command = ["services.admin", "nats-users", str(folder), "--values", "--hosts"]
    names = ["nats", "*.nats-headless"]
    subprocess.run([sys.executable, "-m", *command, *names], cwd=ROOT, check=True)
    return folder / "values.yaml"


def referenced(pod: Object) -> set[Key]:
    """Return the Secrets and ConfigMaps that a pod needs."""
    text = [pod]
    needed: set[Key] = set()

    while text:
        node = text.pop()

        if isinstance(node, list):
            text += node
        elif isinstance(node, dict):
            text += node.values()
            for field, kind in {
                "secret": "Secret",
                "secretKeyRef": "Secret",
                "configMap": "ConfigMap",
                "configMapRef": "ConfigMap",
                "configMapKeyRef": "ConfigMap",
            }.items():
                if field in node:
                    needed.add((kind, node[field].get("name") or node[field]["secretName"]))

    return needed


@helms
def test_two_commands_create_everything_that_the_pods_mount(program: str, keys: Path) -> None:
    assert keys.stat().st_mode & 0o077 == 0
    api_keys = {
        "apiKeys.enabled": True,
        "apiKeys.toml": "[keys]",
        "apiKeys.uiKey": "secret",
        "signedUrls.enabled": True,
        "signedUrls.secrets": "first",
    }
    of = found(program, api_keys | LICENCE, keys)
    needed = {
        reference
        for key, each in of.items()
        if key[0] in WORKLOADS
        for reference in referenced(each["spec"]["template"]["spec"])
    }
    assert needed >= {("Secret", "nats-users"), ("Secret", "http-edge-url-secrets")}
    assert needed <= of.keys()


@helms
def test_without_keys_the_secrets_are_those_of_the_manifests(program: str) -> None:
    of = found(program, {})
    assert not [key for key in of if key[0] == "Secret"]
    needed = {
        reference
        for key, each in of.items()
        if key[0] in WORKLOADS
        for reference in referenced(each["spec"]["template"]["spec"])
    }
    missing = needed - of.keys()
    assert missing <= {(kind, name) for kind, names in BY_THE_OPERATOR.items() for name in names}


def test_keys_without_a_certificate_name_the_missing_option(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.admin", "nats-users", str(tmp_path), "--values"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "name the server by --hosts" in done.stderr


def test_every_object_fits_the_schemas(keys: Path) -> None:
    everything = LICENCE | {"scaling.enabled": True, "monitoring.enabled": True}
    local = CHART / "values-local.yaml"
    manifests = [
        Manifests(objects("helm4", everything, keys)),
        Manifests(objects("helm3", local, {"apiKeys.enabled": True})),
    ]
    assert complaints(manifests, OLDEST, NEWEST) == [[]] * 4
