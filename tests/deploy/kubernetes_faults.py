"""Mistakes that every schema accepts and a cluster refuses or never starts: one function per kind of mistake.

Facts behind them: a real API server refused each of the first eight where the schemas passed it.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Final

from tests.deploy.manifests import Manifests, Object, labels_of, quantity, selects

_LABEL_NAME: Final = re.compile(
    r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def selectors(all_: Manifests) -> Iterator[str]:
    """Check that a workload selects its own pods and no others; services, budgets and policies select at least one."""
    pods = dict(all_.pods())
    for each in all_.of("Deployment", "StatefulSet"):
        name = each["metadata"]["name"]
        selected = [
            other
            for other, pod in pods.items()
            if selects(each["spec"]["selector"], labels_of(pod))
        ]
        if selected != [name] or not each["spec"]["selector"].get("matchLabels"):
            yield f"{name} selects {selected}"
    for each in all_.of("Service"):
        if not any(
            selects({"matchLabels": each["spec"]["selector"]}, labels_of(pod))
            for pod in pods.values()
        ):
            yield f"Service {each['metadata']['name']} selects nobody"
    for each in all_.of("PodDisruptionBudget"):
        selected = [
            other
            for other, pod in pods.items()
            if selects(each["spec"]["selector"], labels_of(pod))
        ]
        if selected != [each["metadata"]["name"]]:
            yield f"budget {each['metadata']['name']} selects {selected}"
    for each in all_.of("NetworkPolicy"):
        if pods and not any(
            selects(each["spec"]["podSelector"], labels_of(pod)) for pod in pods.values()
        ):
            yield f"policy {each['metadata']['name']} selects nobody"


def ports(all_: Manifests) -> Iterator[str]:
    """Check that names of ports are unique in a pod, and every reference to one resolves."""
    for name, pod in all_.pods():
        declared = [
            port for container in pod["spec"]["containers"] for port in container.get("ports", [])
        ]
        for key in ("name", "containerPort"):
            said = [port[key] for port in declared]
            if len(said) != len(set(said)):
                yield f"{name} has a {key} twice: {said}"
        for container in pod["spec"]["containers"]:
            names = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                if probe in container and port not in names:
                    yield f"{name}'s {probe} asks the port {port}"
    for service in all_.of("Service"):
        selector = {"matchLabels": service["spec"]["selector"]}
        for (_, pod), port in itertools.product(all_.pods(), service["spec"]["ports"]):
            names = {
                port["name"]
                for container in pod["spec"]["containers"]
                for port in container.get("ports", [])
            }
            if selects(selector, labels_of(pod)) and port["targetPort"] not in names:
                yield f"Service {service['metadata']['name']} sends to {port['targetPort']}, which is nowhere"


def quantities(all_: Manifests) -> Iterator[str]:
    """Check that every amount is a valid quantity."""
    for name, container in all_.containers():
        for amounts in container["resources"].values():
            for what, amount in amounts.items():
                try:
                    quantity(amount)
                except ValueError as error:
                    yield f"{name}, {what}: {error}"


def limits(all_: Manifests) -> Iterator[str]:
    """Check that no request exceeds its limit."""
    for name, container in all_.containers():
        most = container["resources"].get("limits", {})
        for what, amount in container["resources"].get("requests", {}).items():
            if (
                what in most
                and _known(amount, most[what])
                and quantity(amount) > quantity(most[what])
            ):
                yield f"{name} asks for {amount} of {what}, and may have {most[what]}"


def devices(all_: Manifests) -> Iterator[str]:
    """Check that devices are requested in whole numbers, and requests equal limits."""
    for name, container in all_.containers():
        asked, most = (container["resources"].get(kind, {}) for kind in ("requests", "limits"))
        for what in {key for key in (*asked, *most) if "/" in key}:
            if asked.get(what) != most.get(what) or not str(most.get(what)).isdigit():
                yield f"{name} asks for {asked.get(what)} of {what}, and may have {most.get(what)}"


def volumes(all_: Manifests) -> Iterator[str]:
    """Check that every mount has its volume, and no path or name is used twice."""
    for name, pod in all_.pods():
        there = [volume["name"] for volume in pod["spec"].get("volumes", [])]
        there += [claim["metadata"]["name"] for claim in _claims_of(all_, name)]
        if len(there) != len(set(there)):
            yield f"{name} has a volume twice: {there}"
        for container in pod["spec"]["containers"]:
            mounts = container.get("volumeMounts", [])
            yield from (
                f"{name} mounts {each['name']}, which is no volume"
                for each in mounts
                if each["name"] not in there
            )
            if len({each["mountPath"] for each in mounts}) < len(mounts):
                yield f"{name} mounts two volumes in one place"
    claims = {each["metadata"]["name"] for each in all_.of("PersistentVolumeClaim")}
    for name, pod in all_.pods():
        for volume in pod["spec"].get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in claims:
                yield f"{name} wants the claim {claim}, which is not there"


def tolerations(all_: Manifests) -> Iterator[str]:
    """Check that a toleration that exists has no value, one without a key tolerates all, and effects are valid."""
    for name, pod in all_.pods():
        for each in pod["spec"].get("tolerations", []):
            operator = each.get("operator", "Equal")
            right = (
                operator in ("Exists", "Equal")
                and not (operator == "Exists" and each.get("value"))
                and (each.get("key") or operator == "Exists")
                and each.get("effect", "") in ("", "NoSchedule", "PreferNoSchedule", "NoExecute")
                and ("tolerationSeconds" not in each or each.get("effect") == "NoExecute")
            )
            if not right:
                yield f"{name} cannot tolerate {each}"


def labels(all_: Manifests) -> Iterator[str]:
    """Check that labels have the syntax of Kubernetes, everywhere."""
    for each in all_.objects:
        for key, value in _labels_within(each):
            if (
                not _LABEL_NAME.fullmatch(key)
                or not isinstance(value, str)
                or not _LABEL_VALUE.fullmatch(value)
            ):
                yield f"{each['kind']} {each['metadata']['name']} has the label {key}: {value}"


def spreads(all_: Manifests) -> Iterator[str]:
    """Check that a label may select, or be among those that each pod brings along, not both."""
    for name, pod in all_.pods():
        for each in pod["spec"].get("topologySpreadConstraints", []):
            both = set(each.get("matchLabelKeys", [])) & set(
                each["labelSelector"].get("matchLabels", {})
            )
            if both or not selects(each["labelSelector"], labels_of(pod)):
                yield f"{name} is spread by {both or each['labelSelector']}"


def variables(all_: Manifests) -> Iterator[str]:
    """Check that no variable is set twice."""
    for name, container in all_.containers():
        names = [each["name"] for each in container.get("env", [])]
        if len(names) != len(set(names)):
            yield f"{name} sets a variable twice: {names}"


KINDS: Final[tuple[Callable[[Manifests], Iterator[str]], ...]] = (
    selectors, ports, quantities, limits, devices, volumes, tolerations, labels, spreads, variables,
)  # fmt: skip


def faults(all_: Manifests) -> list[str]:
    """Return all mistakes."""
    return [f"{kind.__name__}: {fault}" for kind in KINDS for fault in kind(all_)]


def _known(*amounts: str) -> bool:
    try:
        return all(quantity(amount) >= 0 for amount in amounts)
    except ValueError:
        return False


def _claims_of(all_: Manifests, name: str) -> list[Object]:
    return [
        claim
        for each in all_.of("StatefulSet")
        if each["metadata"]["name"] == name
        for claim in each["spec"].get("volumeClaimTemplates", [])
    ]


def _labels_within(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for each in value:
            yield from _labels_within(each)
    elif isinstance(value, dict):
        for key, within in value.items():
            if key in ("labels", "matchLabels", "nodeSelector") and isinstance(within, dict):
                yield from within.items()
            else:
                yield from _labels_within(within)
