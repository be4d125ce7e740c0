"""Settings come from the environment, and a bad one is named before anything starts."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct

from services.common.runtime.settings import BadSettings, read_settings


class Example(Struct, frozen=True, kw_only=True):
    key: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 8004
    readable: bool = False
    factor: Annotated[float, Meta(gt=0)] = 1.0
    engine: Literal["embedded", "xtts"] = "embedded"


def test_variables_are_read_by_the_upper_case_names_of_the_fields() -> None:
    read = read_settings(
        Example, {"KEY": "k", "PORT": "80", "READABLE": "true", "FACTOR": "0.5", "OTHER": "x"}
    )
    assert read == Example(key="k", port=80, readable=True, factor=0.5)


def test_an_empty_variable_means_the_default() -> None:
    assert read_settings(Example, {"KEY": "k", "PORT": ""}).port == 8004


def test_every_bad_variable_is_named_and_no_value_is_quoted() -> None:
    with pytest.raises(BadSettings) as bad:
        read_settings(Example, {"PORT": "70000", "READABLE": "secret-value"})
    complaint = str(bad.value)
    assert "KEY" in complaint
    assert "PORT" in complaint
    assert "READABLE" in complaint
    assert "secret-value" not in complaint


@pytest.mark.parametrize(
    ("written", "meant"),
    [("yes", True), ("No", False), ("on", True), ("off", False), ("TRUE", True), ("0", False)],
)
def test_a_switch_is_taken_in_the_words_that_people_write(written: str, meant: bool) -> None:
    assert read_settings(Example, {"KEY": "k", "READABLE": written}).readable is meant


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("READABLE", "maybe", "write true or false (1 or 0, yes or no, on or off)"),
        ("PORT", "http", "write a whole number, at least 1, at most 65,535"),
        ("FACTOR", "0", "write a number, more than 0"),
        ("FACTOR", "nan", "write a number, more than 0"),
        ("ENGINE", "none-such", "write one of embedded, xtts"),
    ],
)
def test_an_error_states_the_expected_format(name: str, value: str, told: str) -> None:
    with pytest.raises(BadSettings) as bad:
        read_settings(Example, {"KEY": "k", name: value})
    assert str(bad.value) == f"{name}: {told}"
