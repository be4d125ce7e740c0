"""Fixtures of several files."""

from pathlib import Path

import pytest

from services.admin import keys as api_keys


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Make `keys.toml` with a key for each of two tenants, and return the keys by tenant."""
    made = {}
    for tenant in ("acme", "globex"):
        api_keys.main([str(tmp_path / "keys.toml"), "--name", f"{tenant}-web", "--tenant", tenant])
        made[tenant] = capsys.readouterr().out.strip()
    return made
