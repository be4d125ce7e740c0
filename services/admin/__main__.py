"""The operator's command line: `python -m services.admin COMMAND`, with the commands below."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final

_COMMANDS: Final = {
    "keys": ("keys", "create an API key of the HTTP edge"),
    "nats-users": ("nats_users", "generate NATS users (nkeys), accounts and TLS certificates"),
    "streams": ("streams", "create the streams, buckets and object stores"),
    "backup": ("backup", "save all streams to a folder, or restore them"),
    "voices": ("voices", "list, export, import, publish or erase voices of the library"),
    "provenance": ("provenance", "verify the provenance log, or look a recording up in it"),
    "dead-letters": ("dead_letters", "list, replay or purge dead letters"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command in the first argument with the others. Exits with status 2 if it is unknown.

    Only the module of that command is imported: an image has only the packages of its commands.
    """
    parser = argparse.ArgumentParser(
        prog="python -m services.admin",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="\n".join(f"{name:<14} {help_}" for name, (_, help_) in _COMMANDS.items()),
    )
    parser.add_argument("command", choices=list(_COMMANDS))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="see COMMAND --help")
    choice = parser.parse_args(arguments)

    module, _ = _COMMANDS[choice.command]
    importlib.import_module(f"services.admin.{module}").main(choice.arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
