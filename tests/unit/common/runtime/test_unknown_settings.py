"""A setting with a typo is noticed, and nothing else is taken for one."""

import dataclasses

import msgspec
import pytest

from services.common.runtime.unknown_settings import KNOWN, misspelled
from services.http_edge.settings import Settings as EdgeSettings
from services.splitter.settings import Settings as SplitterSettings
from services.synth_worker.settings import Settings as WorkerSettings
from ui.settings import Settings as UiSettings

KUBERNETES = """
KUBERNETES_SERVICE_HOST=10.0.0.1 KUBERNETES_SERVICE_PORT=443 KUBERNETES_SERVICE_PORT_HTTPS=443
KUBERNETES_PORT=tcp://10.0.0.1:443 KUBERNETES_PORT_443_TCP=tcp://10.0.0.1:443 KUBERNETES_PORT_443_TCP_PROTO=tcp
KUBERNETES_PORT_443_TCP_PORT=443 KUBERNETES_PORT_443_TCP_ADDR=10.0.0.1
NATS_SERVICE_HOST=10.0.0.2 NATS_SERVICE_PORT=4222 NATS_SERVICE_PORT_CLIENT=4222 NATS_PORT=tcp://10.0.0.2:4222
NATS_PORT_4222_TCP=tcp://10.0.0.2:4222 NATS_PORT_4222_TCP_PROTO=tcp NATS_PORT_4222_TCP_PORT=4222
NATS_PORT_4222_TCP_ADDR=10.0.0.2 HTTP_EDGE_SERVICE_HOST=10.0.0.3 HTTP_EDGE_SERVICE_PORT=8004
HTTP_EDGE_SERVICE_PORT_HTTP=8004 HTTP_EDGE_PORT=tcp://10.0.0.3:8004 HTTP_EDGE_PORT_8004_TCP_ADDR=10.0.0.3
UI_SERVICE_HOST=10.0.0.4 UI_PORT_8501_TCP=tcp://10.0.0.4:8501 UI_PORT_8501_UDP_PORT=8501 HOSTNAME=http-edge-5f7-x2x
"""
# What shells, desktops, containers, proxies, hubs, GPUs, Python, and CI systems set.
ELSEWHERE = """
PATH HOME USER SHELL TERM LANG LC_ALL PWD OLDPWD SHLVL LOGNAME MAIL TZ TMPDIR EDITOR PAGER DISPLAY HOST HOSTNAME PORT
HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy SSL_CERT_FILE REQUESTS_CA_BUNDLE
XDG_RUNTIME_DIR XDG_SESSION_ID DBUS_SESSION_BUS_ADDRESS SSH_AUTH_SOCK SSH_CONNECTION SSH_TTY GPG_TTY SUDO_USER
PYTHONPATH PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE PYTHONHASHSEED VIRTUAL_ENV PIP_CACHE_DIR PYTEST_CURRENT_TEST
HF_HOME HF_ENDPOINT HF_TOKEN HF_HUB_OFFLINE HF_HUB_CACHE TRANSFORMERS_CACHE CUDA_VISIBLE_DEVICES CUDA_HOME CUDA_VERSION
NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS
OTEL_EXPORTER_OTLP_ENDPOINT OTEL_EXPORTER_OTLP_HEADERS OTEL_SERVICE_NAME OTEL_TRACES_SAMPLER GOMEMLIMIT
COMPOSE_PROFILES COMPOSE_PROJECT_NAME VERSION WORKERS API_HOST INTERFACE EDGE RATE CERTIFICATES SERVER_NAME DOCKER_HOST
CI CI_JOB_NAME CI_JOB_TIMEOUT CI_JOB_TOKEN CI_SERVER_HOST CI_SERVER_PORT CI_SERVER_URL CI_API_V4_URL CI_RUNNER_ID
GITHUB_ACTIONS GITHUB_SERVER_URL GITHUB_API_URL GITHUB_TOKEN RUNNER_OS RUNNER_TEMP BUILD_URL BUILD_NUMBER JOB_NAME
JOB_URL JOB_BASE_NAME JENKINS_URL NODE_NAME WORKSPACE EXECUTOR_NUMBER TF_BUILD AGENT_NAME SYSTEM_TEAMPROJECT
TEAMCITY_VERSION BUILDKITE_JOB_ID CIRCLE_JOB TRAVIS_JOB_ID DRONE_REPO BITBUCKET_BUILD_NUMBER CODEBUILD_BUILD_ID
AWS_REGION AWS_ACCESS_KEY_ID GOOGLE_APPLICATION_CREDENTIALS DEBIAN_FRONTEND SCREENSHOTS CHROMIUM NATS_SERVER
NATS_CONTEXT POD_NAME POD_IP NODE_IP MEMORY_LIMIT CPU_LIMIT SERVICE_NAME APP_NAME LOG_FORMAT DATABASE_URL REDIS_URL
"""


def fields_of(*kinds: type[msgspec.Struct]) -> set[str]:
    return {field.name.upper() for kind in kinds for field in msgspec.structs.fields(kind)}


def test_all_settings_of_all_services_are_known() -> None:
    of_pages = {field.name.upper() for field in dataclasses.fields(UiSettings)}
    assert fields_of(EdgeSettings, SplitterSettings, WorkerSettings) | of_pages == KNOWN


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("API_KEY_FILE", "API_KEYS_FILE"),
        ("APIKEYS_FILE", "API_KEYS_FILE"),
        ("HTTP_PROT", "HTTP_PORT"),
        ("HTTP_PORTS", "HTTP_PORT"),
        ("HTTPHOST", "HTTP_HOST"),
        ("NATS_URLS", "NATS_URL"),
        ("NATS_URI", "NATS_URL"),
        ("NATS_NKEY_SEED", "NATS_NKEY_SEED_FILE"),
        ("WORKER_SLOT", "WORKER_SLOTS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("ENGIEN", "ENGINE"),
        ("TENNANT", "TENANT"),
        ("MAX_CONECTIONS", "MAX_CONNECTIONS"),
        ("MAX_UPLOAD_BYTE", "MAX_UPLOAD_BYTES"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("COQUI_TOS_AGREE", "COQUI_TOS_AGREED"),
        ("XTTS_MODELDIR", "XTTS_MODEL_DIR"),
        ("nats_url", "NATS_URL"),
        ("Http_Port", "HTTP_PORT"),
        ("HTTP_PROXY_HOST", "HTTP_HOST"),
    ],
)
def test_a_typo_is_reported_with_the_nearest_name(name: str, meant: str) -> None:
    assert [(found.name, found.nearest) for found in misspelled({name: "value"})] == [(name, meant)]


def test_every_letter_that_is_left_out_or_doubled_is_noticed() -> None:
    names = {
        name[:at] + twice + name[at + 1 :]
        for name in KNOWN
        for at in range(len(name))
        for twice in ("", name[at] * 2)
    }
    typos = {name for name in names - KNOWN if not name.startswith("_")}
    assert len(typos) > 1_000
    assert typos - {found.name for found in misspelled(dict.fromkeys(typos, "x"))} == set()


def test_what_begins_like_a_setting_but_is_near_none_is_noticed_too() -> None:
    assert [found.name for found in misspelled({"NATS_PASSWORD": "x", "WORKER_GPU": "1"})] == [
        "NATS_PASSWORD",
        "WORKER_GPU",
    ]


def test_what_kubernetes_puts_into_every_container_is_no_typo() -> None:
    assert list(misspelled(dict(pair.split("=", 1) for pair in KUBERNETES.split()))) == []


def test_what_other_programs_read_is_no_typo() -> None:
    assert list(misspelled(dict.fromkeys(ELSEWHERE.split(), "value"))) == []


def test_settings_and_empty_variables_are_no_typos() -> None:
    assert list(misspelled(dict.fromkeys(KNOWN, "value") | {"HTTP_PROT": ""})) == []
    assert list(misspelled({"HTTP_NEWS": "value"}, {"HTTP_NEWS"})) == []
