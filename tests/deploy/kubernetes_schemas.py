"""Holds manifests against the schemas of Kubernetes, KEDA and the Prometheus operator; run by `.venv-deploy`.

Reads JSON from stdin, a list of lists of objects, and writes as many lists of complaints.
"""

import functools
import importlib
import json
import sys
from typing import Any

import kubernetes_validate
import kubernetes_validate.utils
from pydantic import ValidationError

# Each check reads megabytes of definitions; they stay the same.
kubernetes_validate.utils.schema_contents = functools.cache(
    kubernetes_validate.utils.schema_contents
)

# imported when needed: those of Prometheus take two seconds
MODELS = {
    ("keda.sh/v1alpha1", "ScaledObject"): "keda.v1alpha1",
    ("monitoring.coreos.com/v1", "ServiceMonitor"): "prometheus_operator.v1",
    ("monitoring.coreos.com/v1", "PodMonitor"): "prometheus_operator.v1",
    ("monitoring.coreos.com/v1", "PrometheusRule"): "prometheus_operator.v1",
    ("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"): "prometheus_operator.v1alpha1",
}


def dropped(given: Any, kept: Any, path: str = "") -> list[str]:
    """Return the fields that a model did not keep, because it does not know them."""
    if isinstance(given, dict):
        return [
            fault
            for key, value in given.items()
            for fault in (
                dropped(value, kept[key], f"{path}.{key}")
                if key in kept
                else [f"{path}.{key} is unknown"]
            )
        ]
    if isinstance(given, list):
        return [
            fault
            for n, value in enumerate(given)
            for fault in dropped(value, kept[n], f"{path}[{n}]")
        ]
    return []


@functools.cache  # overlays share most of their objects
def complaints(written: str, version: str) -> list[str]:
    """Return what is wrong with one object, in JSON, as Kubernetes of this version would see it."""
    manifest: dict[str, Any] = json.loads(written)
    module = MODELS.get((manifest["apiVersion"], manifest["kind"]))
    try:
        if module is None:
            kubernetes_validate.validate(manifest, version, strict=True)
            return []
        model = getattr(importlib.import_module(f"cloudcoil.models.{module}"), manifest["kind"])
        read = model.model_validate(manifest)
    except (
        kubernetes_validate.ValidationError,
        kubernetes_validate.SchemaNotFoundError,
        ValidationError,
    ) as error:
        return [str(error).replace("\n", " ")]
    return dropped(manifest, read.model_dump(by_alias=True, exclude_unset=True, mode="json"))


if __name__ == "__main__":
    json.dump(
        [
            [
                f"{each['kind']} {each['metadata']['name']}: {said}"
                for each in objects
                for said in complaints(json.dumps(each, sort_keys=True), version)
            ]
            for objects in json.load(sys.stdin)
            for version in sys.argv[1:]
        ],
        sys.stdout,
    )
