"""The generated files of the chart: which objects it has, in which files, and when they exist."""

import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from tools.helm_chart.document import Document, Object
from tools.helm_chart.edits import Edits
from tools.helm_chart.manifests import ROOT, Key, rendered

CHART: Final = ROOT / "deploy" / "helm" / "voice-cloning"
VALUES: Final = Path(__file__).with_name("values.in.yaml")
HEADER: Final = (
    "{{- /* Generated from deploy/k8s by `./task chart`: change the manifests there. */}}\n"
)
# Written by hand: the configuration of NATS, and the acceptance of a licence.
BY_HAND: Final = {("ConfigMap", "nats-config"), ("ConfigMap", "licence-xtts")}
ENGINE: Final = r".Values.engines.\1.enabled"
SEVERAL: Final = "gt (int .Values.{}.replicas) 1"  # a budget for one replica would block drains
SEVERAL_OF_ENGINE: Final = SEVERAL.format(r"engines.\1")


class Place(NamedTuple):
    """The file and the condition of objects whose kind and name match; both can use groups of the name."""

    kind: str
    name: str
    file: str
    condition: str


PLACES: Final = (  # the first that matches
    Place("Namespace", ".*", "namespace", ".Values.namespace.create"),
    Place("Ingress", ".*", "ingress", 'eq .Values.expose "ingress"'),
    Place("ScaledObject", "worker-(.*)", "scaling", f"and .Values.scaling.enabled {ENGINE}"),
    Place("NetworkPolicy", "scaling", "scaling", ".Values.scaling.enabled"),
    Place("ServiceMonitor|PodMonitor", ".*", "monitoring", ".Values.monitoring.enabled"),
    Place(
        "AlertmanagerConfig",
        ".*",
        "monitoring",
        "and .Values.monitoring.enabled .Values.monitoring.alertmanagerConfig",
    ),
    Place("NetworkPolicy", "monitoring-.*", "monitoring", ".Values.monitoring.enabled"),
    Place(
        "PodDisruptionBudget",
        "worker-(.*)",
        r"worker-\1",
        f"and {ENGINE} (or .Values.scaling.enabled ({SEVERAL_OF_ENGINE}))",
    ),
    Place(
        "PodDisruptionBudget",
        "nats",
        "nats",
        f"and .Values.nats.enabled ({SEVERAL.format('nats')})",
    ),
    Place("PodDisruptionBudget", "http-edge", "http-edge", SEVERAL.format("edge")),
    Place("PodDisruptionBudget", "(.*)", r"\1", SEVERAL.format(r"\1")),
    Place("(?!NetworkPolicy).*", "nats(-headless)?", "nats", ".Values.nats.enabled"),
    Place(".*", "(?:models|prefetch)-(xtts)", r"weights-\1", ENGINE),
    Place(".*", "worker-(.*)", r"worker-\1", ENGINE),
    Place("NetworkPolicy", ".*", "network-policies", ""),
    Place("Deployment", "admin", "admin", ".Values.admin.enabled"),
)
RULES: Final = ("PrometheusRule", "voice-cloning")


def chart() -> dict[Path, str]:
    """Return the text of each generated file."""
    edits = Edits()
    objects = manifests()
    files: dict[str, list[Key]] = {}

    for key in objects:
        if key not in BY_HAND and key != RULES:
            files.setdefault(_place(key)[0], []).append(key)

    made = {
        CHART / "templates" / name: _template(edits, [(key, objects[key]) for key in keys])
        for name, keys in files.items()
    }
    edits.defaults.setdefault("monitoring.labels", {})
    nats = objects["ConfigMap", "nats-config"]["data"]
    made[CHART / "files" / "nats.conf"] = _with_file_store(edits, nats["nats.conf"])
    made[CHART / "files" / "cluster.conf"] = _with_routes(nats["cluster.conf"])
    made[CHART / "files" / "rules.yaml"] = _text(objects[RULES])
    made[CHART / "values.yaml"] = _values(edits.defaults)
    return made


def _text(each: Object) -> str:
    text: str = yaml.safe_dump(each, sort_keys=False, width=120, allow_unicode=True)
    return text


def _with_routes(configuration: str) -> str:
    """Return the configuration of a cluster with ROUTES in place of its routes, whose number is a value."""
    changed, count = re.subn(
        r"(?<=routes: \[\n    ).*?(?=\n  \])", "ROUTES", configuration, flags=re.DOTALL
    )

    if count != 1:
        raise ValueError("cluster.conf: has no routes")

    return changed


def _with_file_store(edits: Edits, configuration: str) -> str:
    """Return the configuration of a server with FILE_STORE in place of the size of its files."""
    (size,) = re.findall(r"max_file_store: (\w+)", configuration)
    edits.value("nats.storage.maxFileStore", size)
    return configuration.replace(f"max_file_store: {size}", "max_file_store: FILE_STORE")


def manifests() -> dict[Key, Object]:
    """Return the objects of every overlay, and those of components that are values of the chart."""
    objects = rendered("overlays/gpu")
    objects |= rendered("overlays/cpu")
    objects |= rendered("overlays/monitoring")
    objects |= rendered(components=("components/admin",))
    return objects


def _place(key: Key) -> tuple[str, str]:
    """Return the file of an object, and when it exists: an expression of Helm, empty for always."""
    kind, name = key

    for place in PLACES:
        if re.fullmatch(place.kind, kind) and (match := re.fullmatch(place.name, name)):
            return match.expand(place.file) + ".yaml", match.expand(place.condition)

    return f"{name}.yaml", ""


def _template(edits: Edits, objects: list[tuple[Key, Object]]) -> str:
    document = Document()
    written = [(edits.apply(document, key, each), _place(key)[1]) for key, each in objects]
    return HEADER + document.text(written)


def _values(defaults: dict[str, Any]) -> str:
    """Return values.yaml: `@PATH@` in its text becomes the value that the manifests have."""
    text = VALUES.read_text("utf-8")
    named = set(re.findall(r"@([\w.-]+)@", text))

    if named != defaults.keys():
        raise ValueError(f"{VALUES.name}: unknown or missing: {sorted(named ^ defaults.keys())}")

    return re.sub(r"@([\w.-]+)@", lambda match: _flow(defaults[match[1]]), text)


def _flow(value: Any) -> str:
    """Return a value on one line of YAML."""
    if isinstance(value, str) and value and yaml.safe_load(value) == value and ": " not in value:
        return value

    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"

    if isinstance(value, list):
        return "[" + ", ".join(_flow(each) for each in value) + "]"

    return json.dumps(value)
