"""The compose file: clean to the real plugin where it is here, and one with the images, the settings and the files."""

import asyncio
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import services
from services.admin import nats_users
from services.common.runtime.local_nats import find_nats_server
from services.common.runtime.settings import read_settings
from services.common.runtime.unknown_settings import misspelled
from services.http_edge.transport.connections import Addresses
from tests.deploy.dockerfiles import NAMES, ROOT, dockerfile
from tests.deploy.test_images import OTHERS, PORTS, SETTINGS, UI_SETTINGS
from ui.settings import settings_from

FILE = ROOT / "deploy" / "compose" / "compose.yml"
OURS = {
    "http-edge": "http-edge",
    "splitter": "splitter",
    "worker-embedded": "worker-cpu",
    "worker-xtts": "worker-gpu",
    "ui": "ui",
}
CHOICES = ["", "embedded", "xtts", "embedded,monitoring", "xtts,monitoring,tls,certbot"]


def chosen() -> dict[str, str]:
    """Return the variables of the file that compose reads automatically."""
    lines = (FILE.parent / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def composed() -> dict[str, Any]:
    """Read the file as compose would, with the variables of `.env`."""

    def value(variable: re.Match[str]) -> str:
        return chosen().get(variable[1]) or variable[2] or ""

    read: dict[str, Any] = yaml.safe_load(
        re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", value, FILE.read_text())
    )
    return read


COMPOSED: dict[str, dict[str, Any]] = composed()["services"]


def plugin() -> list[str]:
    """Return the command of docker's compose plugin. Skips the test where there is none."""
    own = ROOT / ".venv-deploy" / "bin" / "docker-compose"
    for command in (["docker", "compose"], [str(own)]):
        try:
            if (
                subprocess.run([*command, "version"], capture_output=True, check=False).returncode
                == 0
            ):
                return command
        except FileNotFoundError:
            continue
    pytest.skip("the compose plugin is not here: ./task setup:deploy")


@pytest.mark.parametrize("profiles", CHOICES)
def test_the_plugin_has_nothing_to_say(profiles: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", profiles)
    said = subprocess.run(
        [*plugin(), "-f", str(FILE), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.stdout, said.stderr, said.returncode) == ("", "", 0)


def test_it_joins_a_monitoring_network_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPOSE_PROFILES", "embedded,xtts")
    more = FILE.parent / "existing-monitoring.yml"
    said = subprocess.run(
        [*plugin(), "-f", str(FILE), "-f", str(more), "config"],
        capture_output=True,
        text=True,
        check=True,
    )
    joined = yaml.safe_load(said.stdout)
    assert joined["networks"]["monitoring"] == {"external": True, "name": "monitoring_monitoring"}
    for name, image in OURS.items():
        if name == "ui":
            continue
        service = joined["services"][name]
        assert set(service["networks"]) == {"pipeline", "monitoring"}
        assert service["labels"]["prometheus.port"] == str(PORTS[image])
        assert "worker" in name or service["container_name"] == f"voice-cloning-{name}"


def test_no_log_grows_without_limit_and_our_images_are_built_here() -> None:
    for name, service in COMPOSED.items():
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}, name
        assert (service.get("pull_policy") == "build") == (name in OURS), name


def test_what_runs_by_default_is_the_embedded_engine_with_monitoring() -> None:
    assert chosen()["COMPOSE_PROFILES"] == "embedded,monitoring"
    assert chosen()["ENGINE"] == "embedded"
    assert chosen()["VERSION"] == services.__version__


@pytest.mark.parametrize("name", OURS)
def test_it_runs_the_image_that_its_dockerfile_builds(name: str) -> None:
    image = OURS[name]
    assert COMPOSED[name]["image"] == f"voice-cloning/{image}:{services.__version__}"
    build = COMPOSED[name]["build"]
    assert (FILE.parent / build["context"]).resolve() == ROOT
    assert build["dockerfile"] == f"deploy/images/{image}.Dockerfile"


def test_every_image_is_run() -> None:
    assert sorted(OURS.values()) == NAMES


@pytest.mark.parametrize("name", OURS)
def test_it_may_write_to_nothing_but_its_temporary_folder_and_has_no_rights(name: str) -> None:
    service = COMPOSED[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp:mode=1777,size=2g"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"user", "cap_add", "privileged", "network_mode"} & set(service)


@pytest.mark.parametrize("name", OURS)
def test_its_variables_are_settings_and_readable(name: str) -> None:
    environment = {key: str(value) for key, value in COMPOSED[name]["environment"].items()}
    if name == "ui":
        assert set(environment) <= UI_SETTINGS | {"API_KEY"}
        settings_from(environment)
    else:
        kind = SETTINGS[OURS[name]]
        assert set(environment) - OTHERS <= {
            field.name.upper() for field in msgspec.structs.fields(kind)
        }
        read_settings(kind, environment)


@pytest.mark.parametrize("name", OURS)
def test_it_is_reached_where_it_listens(name: str) -> None:
    port = PORTS[OURS[name]]
    for published in COMPOSED[name].get("ports", []):
        assert published == f"127.0.0.1:{port}:{port}"
    if "healthcheck" in COMPOSED[name]:
        assert f"127.0.0.1:{port}/readyz" in COMPOSED[name]["healthcheck"]["test"][-1]


def test_services_find_each_other_by_names_and_ports_of_this_file() -> None:
    for name in OURS:
        for key, value in COMPOSED[name]["environment"].items():
            if key in ("NATS_URL", "SERVICE_URL"):
                host, port = str(value).split("//")[1].split(":")
                assert host in COMPOSED
                assert int(port) == {"nats": 4222, "http-edge": PORTS["http-edge"]}[host]


def test_what_is_watched_is_named_as_here_and_answers_there() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    asked = {
        (name, sd["port"])
        for job in scraped
        for sd in job.get("dns_sd_configs", [])
        for name in sd["names"]
    }
    assert asked == {(name, PORTS[image]) for name, image in OURS.items() if name != "ui"}


def test_nginx_gets_every_variable_of_its_template() -> None:
    templates = (ROOT / "deploy" / "nginx" / "templates").glob("*.template")
    asked = {name for path in templates for name in re.findall(r"\$\{(\w+)\}", path.read_text())}
    environment = COMPOSED["nginx"]["environment"]
    assert set(environment) == asked
    assert environment["EDGE"] == f"http-edge:{PORTS['http-edge']}"
    assert environment["INTERFACE"] == f"ui:{PORTS['ui']}"


def test_nginx_gets_its_template_filled_in_and_reads_renewed_certificates(tmp_path: Path) -> None:
    # /docker-entrypoint.sh of the image fills in templates only if it is called with `nginx`.
    [shell, option, script] = COMPOSED["nginx"]["command"]
    assert "while sleep 12h; do nginx -s reload; done &" in script
    entrypoint = tmp_path / "entrypoint.sh"
    entrypoint.write_text('#!/bin/sh\necho "$1"\n')
    entrypoint.chmod(0o755)
    (tmp_path / "sleep").write_text("#!/bin/sh\nexit 1\n")  # the loop ends at once
    (tmp_path / "sleep").chmod(0o755)
    done = subprocess.run(
        [shell, option, script.replace("/docker-entrypoint.sh", str(entrypoint))],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "nginx\n"


def test_the_edge_can_get_files_of_keys_and_secrets_and_trusts_the_proxy() -> None:
    edge = COMPOSED["http-edge"]
    assert mounts(edge) == [("./secrets", "ro")]
    assert {edge["environment"][name] for name in ("API_KEYS_FILE", "URL_SECRETS_FILE")} == {""}
    assert Addresses(edge["environment"]["TRUSTED_PROXIES"]).trusted("172.18.0.9")
    assert not Addresses(edge["environment"]["TRUSTED_PROXIES"]).trusted("203.0.113.9")


def test_the_names_of_the_proxy_are_those_that_are_served() -> None:
    proxied = COMPOSED["nginx"]["environment"]
    assert COMPOSED["http-edge"]["environment"]["ALLOWED_HOSTS"] == proxied["API_HOST"]
    assert COMPOSED["ui"]["environment"]["ALLOWED_HOSTS"] == proxied["UI_HOST"]


def test_a_service_that_others_wait_for_has_a_health_check() -> None:
    for service in COMPOSED.values():
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            asked = "healthcheck" in COMPOSED[other] or dockerfile(OURS[other]).healthcheck()
            assert asked


def test_the_edge_does_not_wait_for_workers_that_may_fetch_weights_for_minutes() -> None:
    assert set(COMPOSED["http-edge"]["depends_on"]) == {"nats"}
    assert "healthcheck" not in COMPOSED["http-edge"]
    assert dockerfile("http-edge").healthcheck()[1][-1].count("/livez") == 1


def test_xtts_has_a_gpu_its_weights_in_a_volume_and_time_to_load_them() -> None:
    worker = COMPOSED["worker-xtts"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert worker["healthcheck"]["start_period"] == "360s"
    assert worker["volumes"] == ["models:/models"]
    assert (
        worker["environment"]["DEVICE"] == "cuda"
    )  # else a worker without a driver would use the processor
    assert chosen()["COQUI_TOS_AGREED"] == "0"  # the operator's to accept


def test_profiles_choose_the_engine() -> None:
    assert COMPOSED["worker-embedded"]["profiles"] == ["embedded"]
    assert COMPOSED["worker-xtts"]["profiles"] == ["xtts"]
    assert COMPOSED["http-edge"]["environment"]["ENGINE"] == chosen()["ENGINE"]


def test_nothing_is_taken_at_whatever_version_is_newest() -> None:
    for service in COMPOSED.values():
        _, version = service["image"].rsplit(":", 1)
        assert re.search(r"\d", version)


def test_only_the_proxy_is_reached_from_other_machines() -> None:
    open_to_all = {
        name
        for name, service in COMPOSED.items()
        for port in service.get("ports", [])
        if not port.startswith("127.0.0.1:")
    }
    assert open_to_all == {"nginx"}


def test_grafana_has_no_well_known_password() -> None:
    environment = COMPOSED["grafana"]["environment"]
    # an empty password would mean `admin`
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert environment["GF_AUTH_BASIC_ENABLED"] == "false"
    assert not [name for name in environment if "PASSWORD" in name]


def mounts(service: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is mounted, and whether it may be written to."""
    parts = [volume.split(":") for volume in service.get("volumes", [])]
    return [(part[0], part[2] if len(part) > 2 else "rw") for part in parts]


def test_files_that_are_mounted_are_there_and_stay_as_they_are() -> None:
    for service in COMPOSED.values():
        for source, how in mounts(service):
            if source.startswith("../"):
                path = (FILE.parent / source).resolve()
                part = (
                    ROOT / "deploy" / path.relative_to(ROOT / "deploy").parts[0]
                    if "deploy" in path.parts
                    else path
                )
                assert how == "ro"
                assert path.exists() or not any(part.glob("**/*.*")), f"{source} is missing"


def test_volumes_are_named_and_all_used() -> None:
    named = set(composed()["volumes"])
    used = {
        source
        for service in COMPOSED.values()
        for source, _ in mounts(service)
        if re.fullmatch(r"[\w-]+", source)
    }
    assert used == named


async def test_nats_takes_its_configuration_and_keeps_its_files_in_the_volume(
    tmp_path: Path,
) -> None:
    nats = COMPOSED["nats"]
    text = (ROOT / "deploy" / "nats" / "nats.conf").read_text()
    assert {"nats:/data", "nats-key:/etc/nats/keys"} < set(nats["volumes"])
    assert nats["working_dir"] == "/"
    assert re.search(r"store_dir: data\b", text)
    copy = tmp_path / "nats.conf"
    copy.write_text(text)
    (tmp_path / "keys").mkdir()
    nats_users.store_key(tmp_path / "keys")
    _, _, *options = nats["command"]
    checking = await asyncio.create_subprocess_exec(
        find_nats_server(), "-t", "-c", copy, *options, cwd=tmp_path, env={}
    )
    assert await checking.wait() == 0
    assert "port: 4222" in text
    assert "http_port: 8222" in text
    assert "127.0.0.1:8222/healthz" in nats["healthcheck"]["test"][-1]


def test_nats_generates_its_encryption_key_at_the_first_start_only(tmp_path: Path) -> None:
    nats = COMPOSED["nats"]
    assert nats["entrypoint"] == ["sh", "/etc/nats/start.sh"]
    assert "../nats/start.sh:/etc/nats/start.sh:ro" in nats["volumes"]
    key = tmp_path / "store-key.conf"
    server = tmp_path / "nats-server"
    server.write_text('#!/bin/sh\necho "$@"\n')
    server.chmod(0o755)
    contents = set()
    for _ in range(2):
        done = subprocess.run(
            ["sh", FILE.parent.parent / "nats" / "start.sh", *nats["command"]],
            env={"STORE_KEY_FILE": str(key), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == nats["command"]
        contents.add(key.read_text())
    [content] = contents
    assert re.fullmatch(r'key: "[A-Za-z0-9+/=]{44}"\ncipher: "chachapoly"\n', content)
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [name for name in OURS if name != "ui"])
def test_every_service_has_time_to_stop(name: str) -> None:
    environment = {key: str(value) for key, value in COMPOSED[name]["environment"].items()}
    settings = read_settings(SETTINGS[OURS[name]], environment)
    assert settings.exit_s <= float(COMPOSED[name]["stop_grace_period"].removesuffix("s"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", OURS)
def test_no_variable_is_reported_as_a_typo(name: str) -> None:
    environment = {key: str(value) for key, value in COMPOSED[name]["environment"].items()}
    image = dict(word.split("=", 1) for word in dockerfile(OURS[name]).one("ENV").split())
    assert list(misspelled(image | chosen() | environment)) == []
