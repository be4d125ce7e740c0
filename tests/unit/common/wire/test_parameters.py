"""Synthesis parameters, and the refusal of those that an engine does not take."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.wire import codec
from services.common.wire.failures import MalformedMessage, UnsupportedParameter
from services.common.wire.messages import SpeechRequest, WorkerState
from services.common.wire.options import AS_USUAL, Parameters
from services.common.wire.parameters import RANGES, require_taken, takes_of
from services.common.wire.parameters import given as set_in
from tests.support.messages import EXAMPLES, PARAMETERS

REQUEST = next(message for message in EXAMPLES if isinstance(message, SpeechRequest))
WORKER = next(message for message in EXAMPLES if isinstance(message, WorkerState))
NAMES = st.sampled_from(sorted(RANGES))


def read_back(parameters: Parameters) -> Parameters:
    """Send parameters in a request."""
    payload = codec.encode(msgspec.structs.replace(REQUEST, parameters=parameters))
    return codec.decode(payload, SpeechRequest).parameters


def values(name: str) -> st.SearchStrategy[float]:
    allowed = RANGES[name]
    if allowed.whole:
        return st.integers(int(allowed.lowest), int(allowed.highest))
    return st.floats(allowed.lowest, allowed.highest)


@given(NAMES.flatmap(lambda name: st.tuples(st.just(name), values(name))))
def test_a_value_in_its_range_comes_back_as_it_was(asked: tuple[str, float]) -> None:
    name, value = asked
    assert set_in(read_back(Parameters(**{name: value}))) == {name: value}  # type: ignore[arg-type]


@given(NAMES, st.integers(1, 10**6), st.booleans())
def test_a_value_outside_its_range_is_refused_by_name(name: str, beyond: int, above: bool) -> None:
    value = RANGES[name].highest + beyond if above else RANGES[name].lowest - beyond
    with pytest.raises(MalformedMessage, match=name):
        read_back(Parameters(**{name: value}))  # type: ignore[arg-type]


def test_every_parameter_has_a_range_and_a_textual_form() -> None:
    assert (
        set(RANGES) == set(Parameters.__struct_fields__) == {*set_in(PARAMETERS), "loudness_lufs"}
    )
    assert str(RANGES["top_k"]) == "a whole number from 1 to 1000"
    assert str(RANGES["speed"]) == "a number from 0.25 to 4"
    assert str(RANGES["loudness_lufs"]) == "a number from -30 to -12 or off"


def test_a_loudness_may_be_switched_off_and_no_other_word_will_do() -> None:
    assert read_back(Parameters(loudness_lufs="off")).loudness_lufs == "off"
    with pytest.raises(MalformedMessage, match="loudness_lufs"):
        read_back(Parameters(loudness_lufs="loud"))  # type: ignore[arg-type]


def test_an_engine_refuses_unknown_parameters_by_name_and_lists_its_own() -> None:
    asked = Parameters(temperature=0.5, top_k=10, speed=1.5)
    with pytest.raises(UnsupportedParameter) as refused:
        require_taken(asked, engine="tone", takes=("speed",))
    assert (
        str(refused.value)
        == "the engine tone has no use for temperature, top_k; it takes speed; leave out the others"
    )
    with pytest.raises(UnsupportedParameter, match="it takes none"):
        require_taken(asked, engine="tone", takes=())


def test_an_engine_takes_what_it_names_and_a_request_that_sets_nothing() -> None:
    require_taken(PARAMETERS, engine="xtts", takes=tuple(RANGES))
    require_taken(AS_USUAL, engine="tone", takes=())


def test_a_group_of_workers_takes_what_each_of_them_takes() -> None:
    newer = msgspec.structs.replace(WORKER, parameters={"speed": 1.0, "top_k": 50.0})
    older = msgspec.structs.replace(WORKER, parameters={})
    assert takes_of([newer, WORKER]) == {"speed": 1.0}
    assert takes_of([newer, newer]) == {"speed": 1.0, "top_k": 50.0}
    assert takes_of([newer, older]) == takes_of([]) == {}
