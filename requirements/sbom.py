"""Software bills of materials, and the list of packages in NOTICE.

`./task sbom -- FOLDER` writes one CycloneDX 1.6 file for each set of locked packages: what `./task run` installs, what
it installs for XTTS, and what each image contains. Versions and hashes come from the lock files, licences from
`licences.toml`. Not included are the packages of the base image, which an image scanner lists, and the weights, which
NOTICE lists.
`python requirements/sbom.py --notice` rewrites the list in NOTICE.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
NOTICE: Final = HERE.parent / "NOTICE"
LOCKS: Final = {
    "local": ("local.txt",),
    "xtts": ("xtts.txt", "torch/torch.txt", "torch/codecs.txt"),
    "http-edge": ("images/http-edge.txt",),
    "splitter": ("images/splitter.txt",),
    "worker-cpu": ("images/worker-cpu.txt",),
    "worker-gpu": ("images/worker-gpu.txt", "torch/torch.txt", "torch/codecs.txt"),
    "ui": ("images/ui.txt",),
}
_HEADING: Final = "Packages that are installed with this software, and their licences (requirements/licences.toml):\n\n"


def licences() -> dict[str, str]:
    """Return package -> SPDX expression."""
    found: dict[str, str] = tomllib.loads((HERE / "licences.toml").read_text("utf-8"))["packages"]
    return found


def locked() -> set[str]:
    """Return the names of all packages in the lock files."""
    texts = [(HERE / lock).read_text("utf-8") for locks in LOCKS.values() for lock in locks]
    return {
        name for text in texts for name in re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE)
    }


def notice() -> str:
    """Return the text of NOTICE, with its list of packages updated from the lock files."""
    text = NOTICE.read_text("utf-8").partition(_HEADING)[0].rstrip("\n")
    known = licences()

    return f"{text}\n\n{_HEADING}" + "".join(
        f"  {name}: {known[name]}\n" for name in sorted(locked())
    )


def bill(name: str) -> dict[str, Any]:
    """Return the bill of materials of one entry of LOCKS, as CycloneDX JSON."""
    program = Path(sys.executable).with_name("cyclonedx-py")
    known = licences()

    content = b"".join((HERE / lock).read_bytes() for lock in LOCKS[name])
    options = ("--spec-version", "1.6", "--output-reproducible", "--output-format", "JSON")
    command = [program, "requirements", *options, "-"]
    done = subprocess.run(command, input=content, capture_output=True, check=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout)
    components = {component["purl"]: component for component in found["components"]}

    for purl, component in components.items():
        component["bom-ref"] = purl
        component["licenses"] = [{"expression": known[component["name"]]}]
        del component["description"]  # the line of the lock file

    found["components"] = [components[purl] for purl in sorted(components)]
    version = re.findall(
        r'__version__ = "(.+)"', (HERE.parent / "services" / "__init__.py").read_text("utf-8")
    )[0]
    own = {
        "type": "application",
        "bom-ref": name,
        "name": f"voice-cloning/{name}",
        "version": version,
    }
    found["metadata"]["component"] = own | {"licenses": [{"expression": "Apache-2.0"}]}
    found["dependencies"] = [{"ref": purl} for purl in sorted(components)]
    return found


def main(argument: str = "sbom") -> None:
    """Write all bills of materials to the folder `argument`, or NOTICE if it is `--notice`."""
    if argument == "--notice":
        NOTICE.write_text(notice(), "utf-8")
        return

    folder = Path(argument)
    folder.mkdir(parents=True, exist_ok=True)

    for name in LOCKS:
        path = folder / f"{name}.cdx.json"
        path.write_text(json.dumps(bill(name), indent=2, ensure_ascii=False) + "\n", "utf-8")
        print(path)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
