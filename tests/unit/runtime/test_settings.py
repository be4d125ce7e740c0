"""Settings come from the environment, and a bad one is named before anything starts."""

from typing import Annotated

import pytest
from msgspec import Meta, Struct

from services.common.runtime.settings import BadSettings, read_settings


class Example(Struct, frozen=True, kw_only=True):
    key: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 8004
    readable: bool = False
    factor: float = 1.0


def test_variables_are_read_by_the_upper_case_names_of_the_fields() -> None:
    read = read_settings(Example, {"KEY": "k", "PORT": "80", "READABLE": "true", "FACTOR": "0.5", "OTHER": "x"})
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
