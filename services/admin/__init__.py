"""Operator commands, one module per command: `python -m services.admin COMMAND`."""
