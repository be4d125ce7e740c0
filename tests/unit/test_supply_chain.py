"""The installed packages: listed licences, a bill of materials, pinned hashes."""

import json
import re
import runpy
import subprocess
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import pytest

from tests.support.cases import assert_each

ROOT = Path(__file__).parents[2]
SBOM = runpy.run_path(str(ROOT / "requirements" / "sbom.py"))
LICENCES: dict[str, str] = SBOM["licences"]()
LOCKED: set[str] = SBOM["locked"]()
COPYLEFT = re.compile(r"(?<!L)GPL|LGPL|MPL|NVIDIA")
UNHASHED = {  # commands of pip without hashes, and why
    "-r benchmarks/quality/requirements.txt",  # of a benchmark, in a separate environment
    "-r benchmarks/speed/requirements.txt",  # the same
}


def atoms(expression: str) -> set[str]:
    """Return the licences in an SPDX expression."""
    return set(re.split(r"\s+(?:AND|OR)\s+|[()]", expression)) - {""}


def test_every_locked_package_has_a_licence_and_no_other_is_listed() -> None:
    assert LICENCES.keys() == LOCKED


def test_notice_lists_every_package_with_its_licence() -> None:
    assert (ROOT / "NOTICE").read_text() == SBOM["notice"]()  # python requirements/sbom.py --notice


def installed(package: str) -> bool:
    """Return whether this kind of machine has the package."""
    try:
        metadata(package)
    except PackageNotFoundError:
        return False
    return True


# words of the classifiers, and what SPDX calls them
CLASSIFIED = {
    "Apache": "Apache",
    "MIT": "MIT",
    "BSD": "BSD",
    "Mozilla": "MPL",
    "Lesser General": "LGPL",
    "ISC": "ISC",
    "Python Software Foundation": "PSF",
}


def unlisted(package: str) -> set[str]:
    """Return the licences that the installed package states and the list does not have."""
    stated = metadata(package).get("License-Expression") or ""
    kinds = [
        kind.rpartition(" :: ")[2]
        for kind in metadata(package).get_all("Classifier") or ()
        if kind.startswith("License ::")
    ]
    classified = {spdx for word, spdx in CLASSIFIED.items() for kind in kinds if word in kind}
    return (atoms(stated) - atoms(LICENCES[package])) | {
        spdx for spdx in classified if spdx not in LICENCES[package]
    }


def test_a_licence_is_the_one_that_the_package_states() -> None:
    packages = sorted(filter(installed, LOCKED))
    assert_each([(package, set()) for package in packages], unlisted)


@pytest.mark.parametrize(
    "package", sorted(name for name in LOCKED if COPYLEFT.search(LICENCES[name]))
)
def test_a_licence_that_asks_for_more_than_its_text_is_explained(package: str) -> None:
    prose = SBOM["notice"]().partition(SBOM["_HEADING"])[0]
    if "NVIDIA" in LICENCES[package]:
        assert "NVIDIA's own terms" in prose
    else:
        assert re.search(rf"\b{re.escape(package)}\b", prose)


@pytest.mark.parametrize(
    "word",
    ["soxr", "certifi", "pyopenjtalk-plus", "text2tashkeel", "nats-server", "Kokoro", "CLDR"],
)
def test_what_is_used_most_is_explained(word: str) -> None:
    assert word in SBOM["notice"]().partition(SBOM["_HEADING"])[0]


def test_every_package_of_the_project_is_locked() -> None:
    names = re.findall(
        r'^\s+"([A-Za-z0-9-]+)==', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    development = {
        "hypothesis",
        "import-linter",
        "mypy",
        "openai",
        "playwright",
        "pytest",
        "pytest-asyncio",
        "pytest-xdist",
        "ruff",
    }
    assert set(names) - development <= LOCKED


def commands_of_pip() -> list[str]:
    """Return every `pip install` of the task file, its wrapper and the images."""
    files = [
        ROOT / "Taskfile.yml",
        ROOT / "task",
        *(ROOT / "deploy" / "images").glob("*.Dockerfile"),
    ]
    return [
        match[0]
        for path in files
        for match in re.finditer(r"\S*pip install [^\n]*", path.read_text())
    ]


def test_everything_is_installed_by_hash_but_what_has_a_reason() -> None:
    commands = commands_of_pip()
    assert len(commands) > 8
    unhashed = {command for command in commands if "--require-hashes" not in command}
    assert {command for command in unhashed if not command.endswith(tuple(UNHASHED))} == set()


@pytest.mark.parametrize(
    "lock", sorted(path.relative_to(ROOT) for path in (ROOT / "requirements").rglob("*.txt"))
)
def test_every_line_of_a_lock_has_a_hash(lock: Path) -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    assert {block for block in blocks if "--hash=sha256:" not in block} == set()


BILLS = ("splitter", "worker-gpu")
WRITE_AND_VALIDATE = """
import json, runpy, sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

bill = runpy.run_path("requirements/sbom.py")["bill"]
validator = JsonStrictValidator(SchemaVersion.V1_6)
bills = {name: bill(name) for name in sys.argv[1:]}
faults = {name: str(validator.validate_str(json.dumps(each))) for name, each in bills.items()}
print(json.dumps([bills, faults]))
"""


@pytest.fixture(scope="module")
def bills() -> dict[str, Any]:
    """Write bills as `./task sbom` does, and check them against the schema of CycloneDX: one process for all."""
    python = ROOT / ".venv-audit" / "bin" / "python"
    assert python.exists(), f"{python} is missing: run ./task setup:audit"

    written = subprocess.run(
        [python, "-c", WRITE_AND_VALIDATE, *BILLS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found, faults = json.loads(written)
    assert faults == dict.fromkeys(BILLS, "None")
    named: dict[str, Any] = found
    return named


@pytest.mark.parametrize("name", BILLS)
def test_a_bill_names_every_locked_package_with_version_hashes_and_licence(
    bills: dict[str, Any], name: str
) -> None:
    written = bills[name]
    locks = [(ROOT / "requirements" / lock).read_text() for lock in SBOM["LOCKS"][name]]
    pinned = {
        match
        for text in locks
        for match in re.findall(r"^([\w.-]+)==([\w.+!]+)", text, re.MULTILINE)
    }
    assert {(each["name"], each["version"]) for each in written["components"]} == pinned
    assert written["metadata"]["component"]["name"] == f"voice-cloning/{name}"
    for component in written["components"]:
        assert component["licenses"] == [{"expression": LICENCES[component["name"]]}]
        hashes = [
            hash_["content"]
            for source in component["externalReferences"]
            for hash_ in source["hashes"]
        ]
        assert hashes
        assert all(any(f"sha256:{each}" in text for text in locks) for each in hashes)


def test_there_is_a_bill_for_every_image() -> None:
    images = {
        path.name.removesuffix(".Dockerfile")
        for path in (ROOT / "deploy" / "images").glob("*.Dockerfile")
    }
    assert images | {"local", "xtts"} == SBOM["LOCKS"].keys()
