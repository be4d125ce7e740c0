"""The client is installed without the service, so it imports nothing of it."""

import ast
import tomllib
from pathlib import Path

CLIENT = Path(__file__).parents[3] / "client"
SOURCES = sorted((CLIENT / "src").rglob("*.py"))


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def test_the_client_imports_nothing_of_the_service() -> None:
    assert len(SOURCES) > 15
    for path in SOURCES:
        assert not imports(path) & {"services", "ui", "tests", "tools"}, path


def test_nats_is_imported_only_by_the_extra() -> None:
    for path in SOURCES:
        if "bus" not in path.relative_to(CLIENT).parts:
            assert not imports(path) & {"nats", "msgpack"}, path


def test_the_dependencies_are_few() -> None:
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    assert [line.partition(">")[0] for line in project["dependencies"]] == ["aiohttp"]
    extra = project["optional-dependencies"]["nats"]
    assert [line.partition(">")[0] for line in extra] == ["msgpack", "nats-py"]
