"""Writes NATS users, certificates and the store key as values of the Helm chart: `--values` of `task nats:keys`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

FILES: Final = {
    "users": "users.conf",
    "storeKey": "store-key.conf",
    "ca": "ca.crt",
    "tlsCertificate": "tls.crt",
    "tlsKey": "tls.key",
}


def helm_values(folder: Path, roles: Iterable[str]) -> str:
    """Return the values `nats.keys`, as YAML, of a folder of keys. Raises FileNotFoundError for a missing file."""
    seeds = {role: (folder / f"{role}.seed").read_text("utf-8") for role in roles}
    keys = {name: (folder / file).read_text("utf-8") for name, file in FILES.items()}
    content = json.dumps({"nats": {"keys": {**keys, "seeds": seeds}}}, indent=2)
    heading = f"# Secret: users, certificates and keys of NATS. helm install --values {folder / 'values.yaml'}"
    return f"{heading}\n{content}\n"
