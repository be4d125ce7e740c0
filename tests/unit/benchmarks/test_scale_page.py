"""The figures in docs/scale.md are those of the settings, the manifests and the measurements."""

import re
from pathlib import Path

import pytest

from services.common.bus.topology import topology
from services.common.runtime.service_process import ProcessSettings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")
RESULTS = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
SECOND_BYTES = 48_000  # 24 kHz, 16 bit
GIB = 1 << 30
ROWS = re.findall(
    r"^\| (\d+) s, such as ([\d.]+) workers at ([\d.]+)x \| ([\d.]+) MB \| ([\d.]+) (min|s) \| ([\d.]+) GB \|$",
    PAGE,
    re.MULTILINE,
)


def test_the_default_store_is_the_one_of_the_table() -> None:
    settings = ProcessSettings()
    assert settings.audio_store_bytes == GIB
    assert settings.audio_kept_s == 600
    assert f"1 GiB is {round(GIB / SECOND_BYTES / 10) * 10:,} s" in PAGE


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_of_the_audio_store_is_its_rate(row: tuple[str, ...]) -> None:
    audio_s, workers, speed, megabytes, lasts, unit, ten_minutes = row
    per_s = float(audio_s) * SECOND_BYTES
    assert float(workers) * float(speed) == pytest.approx(float(audio_s), rel=0.03)
    assert float(megabytes) == pytest.approx(per_s / 1e6, rel=0.03)
    lasts_s = float(lasts) * (60 if unit == "min" else 1)
    assert lasts_s == pytest.approx(GIB / per_s, rel=0.03)
    assert float(ten_minutes) == pytest.approx(600 * per_s / 1e9, rel=0.06)


def test_the_table_has_its_rows() -> None:
    assert len(ROWS) == 4


def test_rates_of_a_cell_are_those_of_the_simulation() -> None:
    rates = re.findall(r"cell of 64 workers, .*: ([\d.]+) MB/s of audio", RESULTS)
    assert rates == ["13.4", "5.1"]
    assert "13.4 MB of audio per second with the embedded engine, 5.1 MB with XTTS" in PAGE


def measured(servers: int, encrypted: str) -> str:
    """Return the cores of a row of the measurements, at 13.4 MB/s."""
    (cores,) = re.findall(
        rf"^\| 24,000 \| {servers} \| {encrypted} \| 13\.4 \| ([\d.]+) \|", RESULTS, re.MULTILINE
    )
    return str(cores)


@pytest.mark.parametrize(("name", "encrypted"), [("plain", "no"), ("TLS and encrypted", "yes")])
def test_the_cost_of_three_servers_is_the_measured_one(name: str, encrypted: str) -> None:
    (row,) = re.findall(rf"^\| {name}[^|]*\| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    assert row == (measured(1, encrypted), measured(3, encrypted))


def test_the_streams_fit_into_the_servers_files() -> None:
    wanted = topology()
    limits = [each.max_bytes for each in (*wanted.streams, *wanted.buckets, *wanted.stores)]
    assert sum(limits) / GIB == 19.75
    assert "19.75 GiB with the default" in PAGE
    configuration = (ROOT / "deploy" / "k8s" / "base" / "nats" / "nats.conf").read_text("utf-8")
    assert "max_file_store: 24GB" in configuration  # NATS's GB are GiB
    assert 19.75 - 1 + 5 <= 24
