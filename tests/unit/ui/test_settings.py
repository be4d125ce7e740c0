"""The interface's settings."""

import pytest

from ui.settings import settings_from, warnings_about
from ui.tabs.service import metric


def test_settings_are_read_from_the_environment() -> None:
    settings = settings_from({"UI_PORT": "9000", "SERVICE_URL": "http://edge:8004/"})
    assert (settings.ui_port, settings.service_url, settings.shown_url) == (
        9000,
        "http://edge:8004",
        "http://edge:8004",
    )


WRONG_HOSTS = [
    ("ALLOWED_HOSTS", value)
    for value in ("https://a.example", "a.example:443", "*a.example", "a,,b", "a b")
]


@pytest.mark.parametrize(
    ("name", "value"),
    [("UI_PORT", "x"), ("UI_PORT", "70000"), ("SERVICE_URL", "edge:8004"), *WRONG_HOSTS],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        settings_from({name: value})


def test_open_pages_and_typos_are_logged() -> None:
    typos = {"UI_HOTS": "0.0.0.0", "SERVICE_ULR": "http://edge:8004", "API_KYE": "secret"}
    told = list(
        warnings_about(settings_from({"UI_HOST": "0.0.0.0"}), {"UI_HOST": "0.0.0.0"} | typos)
    )
    assert [line.partition(" ")[0] for line in told] == [
        "UI_HOST=0.0.0.0:",
        "API_KYE",
        "SERVICE_ULR",
        "UI_HOTS",
    ]
    assert "secret" not in "".join(told)


def test_there_is_nothing_to_tell_of_what_other_services_and_kubernetes_set() -> None:
    others = {
        "API_KEYS_FILE": "/keys.toml",
        "UI_SERVICE_HOST": "10.0.0.1",
        "UI_PORT_8501_TCP_ADDR": "10.0.0.1",
    }
    assert list(warnings_about(settings_from({}), others)) == []


def test_a_metric_is_summed_over_the_samples_that_are_meant() -> None:
    text = '# HELP a b\nx{s="ready"} 1.0\nx{s="loading"} 2.0\nx{s="ready",e="2"} 3.0\nxy 9.0\nz 4\n'
    assert (
        metric(text, "x", '"ready"'),
        metric(text, "x"),
        metric(text, "z"),
        metric(text, "none"),
    ) == (4, 6, 4, 0)
