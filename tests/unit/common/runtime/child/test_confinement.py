"""Confinement: its filter as the kernel would run it, and which variables are secrets."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from services.common.runtime.child.confinement import (
    leave_shared_namespaces,
    linux,
    seccomp,
)
from services.common.runtime.child.environment import without_secrets

ALLOW, REFUSE, KILL = "allow", "refuse", "kill"
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def verdict(program: bytes, number: int, architecture: int) -> str:
    """Run a filter as the kernel does."""
    data = struct.pack("=II", number, architecture)
    instructions = list(struct.iter_unpack("=HBBI", program))
    index, accumulator = 0, 0
    while True:
        code, if_true, if_false, value = instructions[index]
        index += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x15:
            index += if_true if accumulator == value else if_false
        else:
            assert code == 0x06
            return {0x7FFF0000: ALLOW, 0x00050001: REFUSE, 0x80000000: KILL}[value]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_allows_the_calls_of_its_table_and_no_other(machine: str) -> None:
    column, architecture = MACHINES[machine]
    program = seccomp.filter_for(machine)
    assert program is not None
    allowed = {numbers[column] for numbers in seccomp.ALLOWED.values()} - {None}
    for number in [*range(1_000), 0x40000000, 0x40000001, 0xFFFFFFFF]:
        assert verdict(program, number, architecture) == (ALLOW if number in allowed else REFUSE)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_ends_a_process_that_calls_as_another_architecture(machine: str) -> None:
    program = seccomp.filter_for(machine)
    assert program is not None
    for architecture in (
        0x40000003,
        0,
        *(other for name, (_, other) in MACHINES.items() if name != machine),
    ):
        assert verdict(program, 0, architecture) == KILL


def test_no_filter_is_made_for_a_machine_whose_numbers_are_not_known() -> None:
    assert seccomp.filter_for("riscv64") is None


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("no kernel headers here")
    lines = (
        line.split()
        for line in HEADERS[machine].read_text().splitlines()
        if line.startswith("#define __NR")
    )
    found = {
        name.removeprefix("__NR3264_").removeprefix("__NR_"): int(number)
        for _, name, number, *_ in (line for line in lines if len(line) >= 3)
        if number.isdigit()
    }
    for name, numbers in seccomp.ALLOWED.items():
        number = numbers[MACHINES[machine][0]]
        assert number is None or found[name] == number, name


def test_a_secret_is_known_by_its_name() -> None:
    secrets = (
        "NATS_URL",
        "NATS_NKEY_SEED_FILE",
        "API_KEYS_FILE",
        "api_key",
        "AWS_ACCESS_KEY_ID",
        "DB_PASSWORD",
    )
    kept = (
        "PATH",
        "TOKENIZERS_PARALLELISM",
        "PYTHONHASHSEED",
        "KEYBOARD",
        "HF_TOKEN",
        "CUDA_VISIBLE_DEVICES",
    )
    environment = dict.fromkeys((*secrets, *kept), "1")
    assert tuple(without_secrets(environment)) == kept


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
def test_a_service_keeps_its_environment_from_others_of_its_user() -> None:
    program = """
import ctypes, asyncio
from services.common.runtime.service_process import ProcessSettings, run_process
async def run(settings, stop):
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
run_process("test", ProcessSettings, run, OSError)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "0"  # not dumpable


def test_where_namespaces_are_forbidden_the_process_stays_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(flags: int) -> None:
        raise PermissionError(flags)

    monkeypatch.setattr(linux, "unshare", forbidden)
    assert leave_shared_namespaces() == ()
