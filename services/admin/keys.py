"""Creates an API key of the edge: `task keys:new -- keys.toml --name acme-web --tenant acme --requests-a-minute 60`.

Appends its hash to the file of API_KEYS_FILE, and prints the key, which is stored nowhere. Edges reload a changed file
within seconds; to revoke a key, remove its lines.
"""

import argparse
import hashlib
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from services.common.wire.voices import RESERVED_TENANTS


def main(arguments: Sequence[str] | None = None) -> None:
    """Create a key."""
    parser = argparse.ArgumentParser(
        prog="python -m services.admin keys", description=__doc__.split("\n")[0]
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--name", required=True, help="of its user; letters, digits, - and _")
    parser.add_argument("--tenant", default="public")
    parser.add_argument("--requests-a-minute", type=int, default=0, metavar="N", help="0: no limit")
    parser.add_argument(
        "--audio-seconds-a-day", type=float, default=0, metavar="S", help="0: no limit"
    )
    parser.add_argument("--engines", nargs="*", default=[], metavar="NAME", help="none: all")
    choice = parser.parse_args(arguments)
    if not choice.name.replace("-", "").replace("_", "").isalnum() or not choice.name.isascii():
        sys.exit("keys: --name must consist of letters, digits, - and _")
    if choice.tenant in RESERVED_TENANTS:
        sys.exit(f"keys: --tenant {choice.tenant} is reserved; name another tenant")
    secret = secrets.token_urlsafe(32)
    fields = {
        "name": choice.name,
        "hash": hashlib.sha256(secret.encode()).hexdigest(),
        "tenant": choice.tenant,
        "requests_a_minute": choice.requests_a_minute,
        "audio_seconds_a_day": choice.audio_seconds_a_day,
        "engines": choice.engines,
    }

    # For these types, JSON values are TOML values.
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in fields.items()]
    with choice.file.open("a", encoding="utf-8") as file:
        file.write("\n[[keys]]\n" + "".join(lines))

    print(secret)  # noqa: T201  # the only time that it is shown


if __name__ == "__main__":
    main()
