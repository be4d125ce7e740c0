"""Helm installs, upgrades and rolls back the chart on a real API server: see test_api_server.py."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from services.admin import nats_users
from tests.deploy.helm import CHART, HELMS
from tests.deploy.manifests import KUBERNETES, tool
from tests.deploy.test_api_server import api_server, pytestmark, said

__all__ = ["pytestmark"]  # skipped without an API server

EVERYTHING: dict[str, Any] = {
    "images.tag": "2",
    "engines.xtts.enabled": True,
    "engines.xtts.acceptLicence": True,
    "scaling.enabled": True,
    "monitoring.enabled": True,
    "expose": "gateway",
    "gateway.className": "nginx",
    "apiKeys.enabled": True,
    "apiKeys.toml": "[keys]",
    "apiKeys.uiKey": "key",
    "nats.replicas": 3,
}


async def checked(*command: str) -> str:
    status, output = await said(*command)
    assert status == 0, output
    return output


async def prepare(kubectl: list[str], crds: Path) -> None:
    """Create the kinds of the operators, and the namespace with its policy for pods."""
    for file in sorted(crds.glob("*.yaml")):
        await checked(*kubectl, "apply", "--server-side", "-f", str(file))

    established = ("--for=condition=Established", "crd", "--all", "--timeout=60s")
    await checked(*kubectl, "wait", *established)
    await checked(*kubectl, "apply", "-f", str(KUBERNETES / "base" / "namespace.yaml"))


async def names(kubectl: list[str], kind: str) -> set[str]:
    """Return the names of the objects of a kind."""
    output = await checked(*kubectl, "-n", "voice-cloning", "get", kind, "-o", "json")
    return {each["metadata"]["name"] for each in json.loads(output)["items"]}


@pytest.mark.parametrize("program", HELMS)
async def test_an_installation_is_upgraded_and_rolled_back(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nats_users.main([str(tmp_path / "keys"), "--hosts", "nats", "*.nats-headless", "--values"])
    monkeypatch.setenv("HOME", str(tmp_path))  # of helm's caches

    async with api_server(tmp_path) as kubectl:
        await prepare(kubectl, Path(os.environ["KUBE_CRDS"]))
        server = kubectl[kubectl.index("--server") + 1]
        helm = [str(tool(program)), "--namespace", "voice-cloning", "--kube-apiserver", server]
        helm += ["--kube-token", "token", "--kube-insecure-skip-tls-verify"]
        values = ["--values", str(CHART / "values-local.yaml")]
        values += ["--values", str(tmp_path / "keys" / "values.yaml")]

        output = await checked(*helm, "install", "speech", str(CHART), *values)
        assert "STATUS: deployed" in output
        assert "port-forward service/http-edge 8004" in output
        assert "warning" not in output.lower(), output
        jobs = await names(kubectl, "jobs")
        workers = await names(kubectl, "deployments")
        assert "worker-xtts" not in workers

        more = [f"--set-json={name}={json.dumps(value)}" for name, value in EVERYTHING.items()]
        output = await checked(*helm, "upgrade", "speech", str(CHART), *values, *more)
        assert "STATUS: deployed" in output
        assert "warning" not in output.lower(), output
        assert await names(kubectl, "deployments") == workers | {"worker-xtts"}
        assert await names(kubectl, "httproutes") == {"http-edge", "ui"}
        assert not jobs & await names(kubectl, "jobs")

        await checked(*helm, "rollback", "speech", "1")
        assert await names(kubectl, "deployments") == workers
        assert await names(kubectl, "jobs") == jobs
        assert await names(kubectl, "scaledobjects") == set()

        await checked(*helm, "uninstall", "speech")
        assert await names(kubectl, "deployments") == set()
