"""The operator's commands where the service runs: in Kubernetes, through a port-forward, on a fresh checkout."""

from pathlib import Path

import yaml

from services.admin import nats_users
from tests.deploy.manifests import ROOT, labels_of, with_component
from tests.deploy.test_first_apply import variables
from tests.deploy.test_monitoring import told


def test_the_operators_commands_have_a_pod_that_may_do_what_the_operator_may(
    tmp_path: Path,
) -> None:
    manifests = with_component(tmp_path, "admin")
    admin = manifests.one("Deployment", "admin")["spec"]
    establish = manifests.one("Job", "establish")["spec"]
    assert admin["replicas"] == 0
    pod, job = admin["template"], establish["template"]
    assert labels_of(pod)["nats-client"] == "true"  # the network policies let it connect to NATS
    [container], [same] = pod["spec"]["containers"], job["spec"]["containers"]
    assert (container["image"], container["securityContext"]) == (
        same["image"],
        same["securityContext"],
    )
    assert variables(manifests, "admin") | {"NATS_WAIT_S": ""} == variables(
        manifests, "establish"
    ) | {"NATS_WAIT_S": ""}
    assert pod["spec"]["volumes"][0] == job["spec"]["volumes"][0]


async def test_a_certificate_of_nats_is_valid_for_a_port_forward(tmp_path: Path) -> None:
    nats_users.main([str(tmp_path), "--hosts", "nats", "*.nats-headless"])
    certificate = await told("openssl", "x509", "-noout", "-text", "-in", str(tmp_path / "tls.crt"))
    assert "DNS:nats, DNS:*.nats-headless, DNS:localhost" in certificate


def test_the_operators_commands_install_little() -> None:
    tasks = yaml.safe_load((ROOT / "Taskfile.yml").read_text())["tasks"]
    for name, task in tasks.items():
        if "services.admin" in str(task.get("cmds")) and name != "provenance:find":
            assert task["deps"] == ["setup:admin"], name
            assert all(line.startswith(".venv-admin/bin/python ") for line in task["cmds"]), name
    installed = "\n".join(tasks["setup:admin"]["cmds"])
    recipe = (ROOT / "deploy" / "images" / "splitter.Dockerfile").read_text()
    # the same packages as in the image that has the commands
    assert "requirements/images/splitter.txt" in installed
    assert "COPY requirements/images/splitter.txt" in recipe
    assert "COPY services/admin services/admin" in recipe
