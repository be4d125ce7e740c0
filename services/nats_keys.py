"""Makes the users of a NATS that asks who is there: `task nats:keys -- FOLDER --tenants acme globex --hosts nats`.

Writes `users.conf` for nats-server, the secret of each user as `<role>.seed`, and, with --hosts, a certificate
authority of its own (`ca.crt`, `ca.key`; ten years) and the server's certificate (`tls.crt`, `tls.key`; one year).
Users that are there already keep their keys, so a tenant is added by running it again.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import nkeys
from nacl.signing import SigningKey

from services.common.bus.roles import ACCOUNT, ENGINES, Role, service_roles, tenant_role


def user(folder: Path, role: Role) -> str:
    """Return a role's public key; its secret is made where it has none yet."""
    path = folder / f"{role.name}.seed"
    if not path.exists():
        _write_secret(path, nkeys.encode_seed(bytes(SigningKey.generate()), nkeys.PREFIX_BYTE_USER))
    public: bytes = nkeys.from_seed(bytearray(path.read_bytes())).public_key
    return public.decode()


def _write_secret(path: Path, secret: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)


def users_conf(users: Iterable[tuple[str, Role]]) -> str:
    """Return nats-server's configuration of the account with its users, each a public key and a role."""
    entries = "\n".join(_entry(key, role) for key, role in users)
    return f"accounts {{\n  {ACCOUNT} {{\n    jetstream: enabled\n    users: [\n{entries}\n    ]\n  }}\n}}\n"


def _entry(key: str, role: Role) -> str:
    publish, subscribe = (", ".join(f'"{subject}"' for subject in side) for side in (role.publish, role.subscribe))
    answers = '\n        allow_responses: { max: 1, expires: "1m" }' if role.answers else ""
    return (
        f"      # {role.name}\n      {{ nkey: {key}, permissions: {{\n"
        f"        publish: {{ allow: [{publish}] }}\n        subscribe: {{ allow: [{subscribe}] }}{answers}\n"
        "      } }"
    )


def certificates(folder: Path, hosts: Sequence[str]) -> None:
    """Make a certificate authority, where there is none, and a certificate for these hosts, by openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        sys.exit("nats_keys: install openssl, or leave out --hosts and bring certificates of your own")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    ca = ["-subj", "/CN=voice-cloning NATS", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-days", "3650"]
    if not (folder / "ca.key").exists():
        _run([openssl, "req", "-x509", *new, *ca, "-keyout", "ca.key", "-out", "ca.crt"], folder)
    names = ",".join(f"{'IP' if host.replace('.', '').isdigit() else 'DNS'}:{host}" for host in hosts)
    leaf = ["-subj", f"/CN={hosts[0]}", "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=CA:FALSE"]
    signed = ["-x509", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "365"]
    _run([openssl, "req", *signed, *new, *leaf, "-keyout", "tls.key", "-out", "tls.crt"], folder)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603  # openssl
    if done.returncode:
        sys.exit(f"nats_keys: {done.stderr.strip().splitlines()[-1]}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write everything into the folder."""
    parser = argparse.ArgumentParser(prog="python -m services.nats_keys", description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tenants", nargs="*", default=[], metavar="NAME", help="who may use NATS directly")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), metavar="NAME", help="whose workers there are")
    parser.add_argument("--hosts", nargs="*", default=[], metavar="NAME", help="of the server, for its certificate")
    choice = parser.parse_args(arguments)
    os.umask(0o077)
    choice.folder.mkdir(parents=True, exist_ok=True)
    there = (path.stem.removeprefix("tenant-") for path in choice.folder.glob("tenant-*.seed"))
    try:
        roles = [*service_roles(choice.engines), *map(tenant_role, sorted({*choice.tenants, *there}))]
    except ValueError as error:
        sys.exit(f"nats_keys: {error}")
    (choice.folder / "users.conf").write_text(users_conf((user(choice.folder, role), role) for role in roles))
    if choice.hosts:
        certificates(choice.folder, choice.hosts)
    for role in roles:
        seed = choice.folder / f"{role.name}.seed"
        print(f"{role.name:<16} NATS_NKEY_SEED_FILE={seed} NATS_INBOX_PREFIX={role.inbox_prefix}")  # noqa: T201


if __name__ == "__main__":
    main()
