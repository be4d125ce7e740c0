"""No overlay has a mistake that the schemas let through; and each kind of mistake is seen when it is made."""

from collections.abc import Callable

import pytest

from tests.deploy.kubernetes_faults import faults
from tests.deploy.manifests import OVERLAYS, Manifests, Object, rendered


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_has_none(overlay: str) -> None:
    assert faults(rendered(overlay)) == []


def pod(all_: Manifests, name: str = "worker-xtts", kind: str = "Deployment") -> Object:
    spec: Object = all_.one(kind, name)["spec"]["template"]["spec"]
    return spec


def container(all_: Manifests, name: str = "worker-xtts", kind: str = "Deployment") -> Object:
    first: Object = pod(all_, name, kind)["containers"][0]
    return first


MUTANTS: dict[str, tuple[Callable[[Manifests], object], str]] = {
    "selector mismatch": (
        lambda a: a.one("Deployment", "splitter")["spec"]["selector"]["matchLabels"].update(
            {"app.kubernetes.io/name": "divider"}
        ),
        "selectors: splitter selects []",
    ),
    "service selects nobody": (
        lambda a: a.one("Service", "ui")["spec"]["selector"].update(
            {"app.kubernetes.io/name": "web"}
        ),
        "selectors: Service ui selects nobody",
    ),
    "budget of another": (
        lambda a: a.one("PodDisruptionBudget", "nats")["spec"]["selector"]["matchLabels"].update(
            {"app.kubernetes.io/name": "splitter"}
        ),
        "selectors: budget nats selects ['splitter']",
    ),
    "policy for nobody": (
        lambda a: a.one("NetworkPolicy", "ui")["spec"].update(
            podSelector={"matchLabels": {"app": "ui"}}
        ),
        "selectors: policy ui selects nobody",
    ),
    "duplicate port name": (
        lambda a: container(a, "nats", "StatefulSet")["ports"][1].update(name="client"),
        "ports: nats has a name twice",
    ),
    "probe of no port": (
        lambda a: container(a)["readinessProbe"]["httpGet"].update(port="http"),
        "ports: worker-xtts's readinessProbe asks the port http",
    ),
    "service to no port": (
        lambda a: a.one("Service", "http-edge")["spec"]["ports"][0].update(targetPort="web"),
        "ports: Service http-edge sends to web",
    ),
    "request above limit": (
        lambda a: container(a)["resources"]["requests"].update(memory="16Gi"),
        "limits: worker-xtts asks for 16Gi",
    ),
    "bad quantity": (
        lambda a: container(a)["resources"]["requests"].update(memory="6GB"),
        "quantities: worker-xtts, memory: 6GB is no quantity",
    ),
    "fewer devices than may be had": (
        lambda a: container(a)["resources"]["limits"].update({"nvidia.com/gpu": "2"}),
        "devices: worker-xtts asks for 1",
    ),
    "half a device": (
        lambda a: [
            each.update({"nvidia.com/gpu": "500m"}) for each in container(a)["resources"].values()
        ],
        "devices: worker-xtts asks for 500m",
    ),
    "missing volume": (
        lambda a: pod(a)["volumes"].pop(0),
        "volumes: worker-xtts mounts models",
    ),
    "missing claim": (
        lambda a: a.objects.remove(a.one("PersistentVolumeClaim", "models-xtts")),
        "volumes: worker-xtts wants the claim models-xtts",
    ),
    "toleration that exists with a value": (
        lambda a: pod(a)["tolerations"][0].update(value="present"),
        "tolerations: worker-xtts cannot tolerate",
    ),
    "toleration of an unknown effect": (
        lambda a: pod(a)["tolerations"][0].update(effect="NoStart"),
        "tolerations: worker-xtts cannot tolerate",
    ),
    "bad label": (
        lambda a: a.one("Deployment", "ui")["metadata"]["labels"].update(team="voice & sound"),
        "labels: Deployment ui has the label team: voice & sound",
    ),
    "label of a spread that also selects": (
        lambda a: pod(a)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update(
            {"app.kubernetes.io/name": "worker-xtts"}
        ),
        "spreads: worker-xtts is spread by",
    ),
    "variable twice": (
        lambda a: container(a)["env"].append({"name": "DEVICE", "value": "cpu"}),
        "variables: worker-xtts sets a variable twice",
    ),
}


@pytest.mark.parametrize("mistake", MUTANTS)
def test_a_mistake_is_seen(mistake: str) -> None:
    manifests = rendered("gpu")
    make, expected = MUTANTS[mistake]
    make(manifests)
    assert [fault for fault in faults(manifests) if fault.startswith(expected)] != []
