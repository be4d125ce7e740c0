"""Every overlay is accepted by a real API server, with strict server-side validation and admission.

No package registry has one as a binary, so this runs only where KUBE_APISERVER and ETCD name the programs, and
KUBE_CRDS a folder with the CustomResourceDefinitions of KEDA, the Prometheus operator and the Gateway API.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.common.runtime.local_nats import free_port
from tests.deploy.manifests import KUBERNETES, OVERLAYS, from_folder, tool

PROGRAMS = ("KUBE_APISERVER", "ETCD", "KUBE_CRDS")
COMPONENTS = (
    "admin",
    "api-keys",
    "gateway",
    "eks",
    "k3s",
    "pull-secret",
    "nvidia-runtime",
)  # GKE's CRD is its own

pytestmark = pytest.mark.skipif(
    not all(os.environ.get(name) for name in PROGRAMS),
    reason=f"set {', '.join(PROGRAMS)} to the paths of an API server",
)


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[list[str]]:
    """Run etcd and an API server, and yield the command that talks to it."""
    store, port = f"http://127.0.0.1:{free_port()}", free_port()
    key = folder / "key"
    assert (await said("openssl", "genrsa", "-out", str(key), "2048"))[0] == 0
    (folder / "tokens.csv").write_text("token,admin,admin,system:masters\n")
    etcd = [
        os.environ["ETCD"],
        *("--data-dir", folder / "etcd", "--unsafe-no-fsync"),
        *("--listen-client-urls", store, "--advertise-client-urls", store),
        *("--listen-peer-urls", f"http://127.0.0.1:{free_port()}"),
    ]
    server = [
        os.environ["KUBE_APISERVER"],
        *("--etcd-servers", store, "--bind-address", "127.0.0.1", "--secure-port", str(port)),
        *("--cert-dir", folder / "certificates", "--token-auth-file", folder / "tokens.csv"),
        *("--service-account-issuer", "https://kubernetes", "--authorization-mode", "RBAC"),
        *("--service-account-key-file", key, "--service-account-signing-key-file", key),
        *("--service-cluster-ip-range", "10.96.0.0/16"),
        "--disable-admission-plugins=ServiceAccount",  # its controller does not run
    ]
    kubectl = [
        str(tool("kubectl")),
        *("--server", f"https://127.0.0.1:{port}", "--insecure-skip-tls-verify"),
        *("--token", "token"),
    ]
    running = []
    try:
        for command in (etcd, server):
            with (folder / "log").open("ab") as log:
                running.append(
                    await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
                )
        async with asyncio.timeout(120):
            while (await said(*kubectl, "get", "namespace", "kube-system"))[0] != 0:
                await asyncio.sleep(0.2)
        yield kubectl
    finally:
        for process in reversed(running):
            process.kill()
            await process.wait()


async def said(*command: str, given: bytes | None = None) -> tuple[int, str]:
    """Run a program and return its exit status and output."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(given), 60)
    return process.returncode or 0, output.decode()


def kustomizations(folder: Path) -> dict[str, Path]:
    """Return every overlay, and those that an operator would write with each component."""
    found = {overlay: KUBERNETES / "overlays" / overlay for overlay in OVERLAYS}
    for overlay in ("cpu", "gpu"):
        for component in COMPONENTS:
            own = folder / f"{overlay}-{component}"
            own.mkdir()
            resource = from_folder(own, KUBERNETES / "overlays" / overlay)
            part = from_folder(own, KUBERNETES / "components" / component)
            cell = from_folder(own, KUBERNETES / "cell")
            (own / "kustomization.yaml").write_text(
                f"resources: [{resource}]\ncomponents: [{part}]\ntransformers: [{cell}]\n"
            )
            found[own.name] = own
    return found


async def test_an_api_server_accepts_every_overlay(tmp_path: Path) -> None:
    async with api_server(tmp_path) as kubectl:
        for file in sorted(Path(os.environ["KUBE_CRDS"]).glob("*.yaml")):
            status, output = await said(*kubectl, "apply", "--server-side", "-f", str(file))
            assert status == 0, output
        crds = (*kubectl, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        assert (await said(*crds))[0] == 0

        apply = (*kubectl, "apply", "--server-side", "--validate=strict")
        namespace = str(KUBERNETES / "base" / "namespace.yaml")
        assert (await said(*apply, "-f", namespace))[0] == 0

        for name, folder in kustomizations(tmp_path).items():
            _, rendered = await said(str(tool("kubectl")), "kustomize", str(folder))
            # Not stored: what a claim or a Job has cannot be changed by the next overlay.
            tried = (*apply, "--dry-run=server", "-f", "-")
            status, output = await said(*tried, given=rendered.encode())
            lines = output.splitlines()
            applied = [
                line for line in lines if line.endswith("serverside-applied (server dry run)")
            ]
            # A warning would be of a deprecated field, or of a pod that the namespace's policy forbids.
            assert (status, lines) == (0, applied), f"{name}: {output}"
            assert len(applied) == len(re.findall(r"^kind: ", rendered, re.MULTILINE)), name
