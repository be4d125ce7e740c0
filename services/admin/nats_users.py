"""Generates NATS users, accounts and certificates: `task nats:keys -- FOLDER --tenants acme globex --hosts nats`.

Writes `users.conf` for nats-server (an account for the services and one for each tenant), the secret of each user as
`<role>.seed`, and `store-key.conf`, the key that encrypts JetStream's files. With --hosts it also writes a certificate
authority (`ca.crt`, `ca.key`; ten years) and the server's certificate (`tls.crt`, `tls.key`; one year). Existing keys
stay valid, so run it again to add a tenant.
"""

import argparse
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import nkeys
from nacl.signing import SigningKey

from services.admin.helm_values import helm_values
from services.common.bus.nats import accounts
from services.common.bus.nats.accounts import Share
from services.common.bus.nats.roles import ENGINES, Role, service_roles, tenant_role


def user(folder: Path, role: Role) -> str:
    """Return a role's public key; creates its secret if it has none yet."""
    path = folder / f"{role.name}.seed"
    if not path.exists():
        _write_secret(path, nkeys.encode_seed(bytes(SigningKey.generate()), nkeys.PREFIX_BYTE_USER))
    public: bytes = nkeys.from_seed(bytearray(path.read_bytes())).public_key
    return public.decode()


def _write_secret(path: Path, secret: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)


def store_key(folder: Path) -> None:
    """Generate the key that encrypts JetStream's files, if there is none: another one could not read them."""
    path = folder / "store-key.conf"
    if not path.exists():
        content = f'key: "{secrets.token_urlsafe(32)}"\ncipher: "chachapoly"\n'
        _write_secret(path, content.encode())


def users_conf(
    services: Sequence[tuple[str, Role]], tenants: Mapping[str, tuple[str, Role]]
) -> str:
    """Return nats-server's configuration of all accounts: users are public keys and roles, tenants are by name.

    The services' account exports to each tenant's account what that one imports, and to no other.
    """
    importers: dict[Share, list[str]] = {}
    for tenant in tenants:
        for share in accounts.shares(tenant):
            importers.setdefault(share, []).append(accounts.tenant_account(tenant))
    exports = [_export(share, names) for share, names in importers.items()]
    service = _account(accounts.SERVICE, "jetstream: enabled", services, exports=exports)
    own = [_tenant_account(tenant, user) for tenant, user in tenants.items()]
    return "accounts {\n" + "\n".join([service, *own]) + "\n}\n"


def _tenant_account(tenant: str, user: tuple[str, Role]) -> str:
    limits = (
        f"limits {{ max_connections: {accounts.MAX_CONNECTIONS}, max_subscriptions: {accounts.MAX_SUBSCRIPTIONS}, "
        f"max_payload: {accounts.MAX_PAYLOAD_BYTES} }}"
    )
    imports = [_import(share) for share in accounts.shares(tenant)]
    return _account(accounts.tenant_account(tenant), limits, [user], imports=imports)


def _account(
    name: str, settings: str, users: Iterable[tuple[str, Role]], **shared: Sequence[str]
) -> str:
    lists = {"users": [_user(key, role) for key, role in users], **shared}
    blocks = [
        "\n".join([f"    {title}: [", *(f"      {entry}" for entry in entries), "    ]"])
        for title, entries in lists.items()
    ]
    return "\n".join([f'  "{name}" {{', f"    {settings}", *blocks, "  }"])


def _export(share: Share, importers: Sequence[str]) -> str:
    # The threshold bounds what the server remembers of requests that are never answered (two minutes by default).
    threshold = f', threshold: "{share.answer_s}s"' if share.kind == "service" else ""
    named = ", ".join(f'"{account}"' for account in importers)
    return f'{{ {share.kind}: "{share.subject}", accounts: [{named}]{threshold} }}'


def _import(share: Share) -> str:
    to = f', to: "{share.local}"' if share.local != share.subject else ""
    return (
        f'{{ {share.kind}: {{ account: "{accounts.SERVICE}", subject: "{share.subject}" }}{to} }}'
    )


def _user(key: str, role: Role) -> str:
    publish, subscribe = (
        ", ".join(f'"{subject}"' for subject in side) for side in (role.publish, role.subscribe)
    )
    answers = (
        f', allow_responses: {{ max: 1, expires: "{role.answer_s}s" }}' if role.answer_s else ""
    )
    return (
        f"# {role.name}\n      {{ nkey: {key}, permissions: {{\n"
        f"        publish: {{ allow: [{publish}] }}\n        subscribe: {{ allow: [{subscribe}] }}{answers}\n"
        "      } }"
    )


def certificates(folder: Path, hosts: Sequence[str]) -> None:
    """Make a certificate authority, where there is none, and a certificate for these hosts, by openssl."""
    openssl = shutil.which("openssl")
    if openssl is None:
        sys.exit(
            "nats_keys: install openssl, or leave out --hosts and bring certificates of your own"
        )
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    ca = [
        "-subj",
        "/CN=voice-cloning NATS",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
        "-days",
        "3650",
    ]
    if not (folder / "ca.key").exists():
        _run([openssl, "req", "-x509", *new, *ca, "-keyout", "ca.key", "-out", "ca.crt"], folder)
    # localhost is for `kubectl port-forward` and ssh tunnels
    names = ",".join(
        f"{'IP' if host.replace('.', '').isdigit() else 'DNS'}:{host}"
        for host in dict.fromkeys([*hosts, "localhost"])
    )
    leaf = [
        "-subj",
        f"/CN={hosts[0]}",
        "-addext",
        f"subjectAltName={names}",
        "-addext",
        "basicConstraints=CA:FALSE",
    ]
    signed = ["-x509", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "365"]
    _run([openssl, "req", *signed, *new, *leaf, "-keyout", "tls.key", "-out", "tls.crt"], folder)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603  # openssl
    if done.returncode:
        sys.exit(f"nats_keys: {done.stderr.strip().splitlines()[-1]}")


def _write_values(folder: Path, services: Iterable[Role]) -> None:
    try:
        content = helm_values(folder, [role.name for role in services])
    except FileNotFoundError as error:
        sys.exit(f"nats_keys: --values: {error.filename} is missing: name the server by --hosts")
    (folder / "values.yaml").write_text(content, "utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write everything into the folder."""
    parser = argparse.ArgumentParser(
        prog="python -m services.admin nats-users", description=__doc__.split("\n")[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--tenants", nargs="*", default=[], metavar="NAME", help="who may use NATS directly"
    )
    parser.add_argument(
        "--engines",
        nargs="+",
        default=list(ENGINES),
        metavar="NAME",
        help="whose workers there are",
    )
    parser.add_argument(
        "--hosts", nargs="*", default=[], metavar="NAME", help="of the server, for its certificate"
    )
    parser.add_argument(
        "--values", action="store_true", help="also write values.yaml, for the Helm chart"
    )
    choice = parser.parse_args(arguments)
    os.umask(0o077)
    choice.folder.mkdir(parents=True, exist_ok=True)
    there = (path.stem.removeprefix("tenant-") for path in choice.folder.glob("tenant-*.seed"))
    services = service_roles(choice.engines)
    try:
        tenants = {name: tenant_role(name) for name in sorted({*choice.tenants, *there})}
    except ValueError as error:
        sys.exit(f"nats_keys: {error}")
    content = users_conf(
        [(user(choice.folder, role), role) for role in services],
        {name: (user(choice.folder, role), role) for name, role in tenants.items()},
    )
    (choice.folder / "users.conf").write_text(content)
    store_key(choice.folder)
    if choice.hosts:
        certificates(choice.folder, choice.hosts)
    if choice.values:
        _write_values(choice.folder, services)
    for role in (*services, *tenants.values()):
        seed = choice.folder / f"{role.name}.seed"
        print(f"{role.name:<16} NATS_NKEY_SEED_FILE={seed} NATS_INBOX_PREFIX={role.inbox_prefix}")  # noqa: T201


if __name__ == "__main__":
    main()
