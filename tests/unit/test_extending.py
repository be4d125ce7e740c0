"""The file lists of docs/extending.md."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = {
    section.partition("\n")[0]: section
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
}
FILE = re.compile(r"`((?:services|tests|docs|deploy|ui)/[\w./-]+\.\w+)`")


def test_there_is_a_section_for_each_kind_of_extension() -> None:
    assert list(SECTIONS) == [
        "Add an engine",
        "Add an output format",
        "Add a request field",
        "Add a metric",
    ]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_lists_files_that_exist(section: str) -> None:
    files = FILE.findall(SECTIONS[section])
    assert len(files) > 4
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_the_lists_name_the_seams_of_the_code() -> None:
    assert "FORMATS" in (ROOT / "services/http_edge/encoders/registry.py").read_text()
    assert "ENGINES" in (ROOT / "services/synth_worker/engines/registry.py").read_text()
    assert "class TextOptions" in (ROOT / "services/common/wire/options.py").read_text()
    assert "class SpeechRequest" in (ROOT / "services/common/wire/messages.py").read_text()
    for service in ("http_edge", "splitter", "synth_worker"):
        assert "class Metrics" in (ROOT / "services" / service / "metrics.py").read_text()


def test_the_files_that_carry_text_options_whole_do_not_name_one() -> None:
    [row] = re.findall(r"^\| (.*) \| none: carry `TextOptions` \|$", PAGE, flags=re.MULTILINE)
    carriers = [*FILE.findall(row), "services/http_edge/intake/clips.py"]
    for name in ("spoken_forms", "enable_text_splitting", "split=", "pronunciations="):
        assert [file for file in carriers if name in (ROOT / file).read_text()] == []
