"""One class name for one meaning."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
# the same thing in each service or engine, or in the service and its UI
SAME_MEANING = {"AllowedHosts", "LoadedVoice", "Metrics", "Settings"}


def test_no_two_public_classes_of_the_product_share_a_name() -> None:
    places = defaultdict(list)
    for package in ("services", "ui"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in shared.items() if name not in SAME_MEANING} == {}
