"""The values for NATS's own chart configure its servers as ours are."""

import re
from typing import Any

import yaml

from tests.deploy.helm import CHART
from tests.deploy.manifests import Object, rendered

VALUES: dict[str, Any] = yaml.safe_load((CHART.parent / "nats-values.yaml").read_text("utf-8"))
CONFIGURATION = rendered("cpu").one("ConfigMap", "nats-config")["data"]["nats.conf"]


def ours(name: str) -> str:
    """Return the value of a field of our configuration."""
    (value,) = re.findall(rf'^ *{name}: "?([^"\s]+)"?', CONFIGURATION, re.MULTILINE)
    return str(value)


def servers() -> Object:
    spec: Object = rendered("cpu").one("StatefulSet", "nats")["spec"]
    return spec


def test_limits_and_times_are_equal() -> None:
    config, stored = VALUES["config"], VALUES["config"]["jetstream"]
    theirs = {
        name: str(value).strip("<> ")
        for name, value in config["merge"].items()
        if not name.endswith("$include")
    }
    assert theirs == {name: ours(name) for name in theirs}
    assert len(theirs) == 5
    assert stored["merge"]["sync_interval"] == ours("sync_interval")
    assert stored["fileStore"]["maxSize"] == ours("max_file_store")
    assert stored["memoryStore"]["maxSize"] == ours("max_memory_store")
    assert config["nats"]["tls"]["merge"]["min_version"] == ours("min_version")


def test_every_field_of_our_configuration_is_set_or_set_by_their_chart() -> None:
    own = set(re.findall(r"^ *(\w+)(?=: | \{)", CONFIGURATION, re.MULTILINE))
    by_the_chart = {
        "server_name",
        "listen",
        "http",
        "pid_file",
        "tls",
        "cert_file",
        "key_file",
        "jetstream",
        "store_dir",
    }
    set_here = {"min_version", "max_memory_store", "max_file_store", "sync_interval"}
    assert own - by_the_chart - set_here == {
        name for name in VALUES["config"]["merge"] if not name.endswith("$include")
    }


def test_secrets_servers_and_storage_are_equal() -> None:
    spec = servers()
    assert VALUES["config"]["cluster"]["replicas"] == spec["replicas"]
    assert VALUES["statefulSet"]["merge"]["spec"]["podManagementPolicy"] == "Parallel"
    (claim,) = spec["volumeClaimTemplates"]
    size = VALUES["config"]["jetstream"]["fileStore"]["pvc"]["size"]
    assert size == claim["spec"]["resources"]["requests"]["storage"]
    pod = spec["template"]["spec"]
    image = pod["containers"][0]["image"]
    assert image == f"nats:{VALUES['container']['image']['tag']}"
    own = {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}
    assert own == {"POD_NAME": None} | VALUES["container"]["env"]
    spread = VALUES["podTemplate"]["topologySpreadConstraints"]["kubernetes.io/hostname"]
    assert spread.items() <= pod["topologySpreadConstraints"][0].items()
    theirs = VALUES["podTemplate"]["merge"]["spec"]["securityContext"]
    assert theirs == pod["securityContext"]
    assert VALUES["container"]["merge"]["resources"] == pod["containers"][0]["resources"]
    (added,) = VALUES["podTemplate"]["patch"]
    secrets = {each["secret"]["name"] for each in added["value"]["projected"]["sources"]}
    assert secrets == {"nats-users", "nats-store-key"}
    assert VALUES["tlsCA"]["configMapName"] == "nats-ca"
