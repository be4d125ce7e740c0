"""The engine's parameters in the pages."""

from ui.widgets.parameters import with_sliders

SPEED = {"default": 1.0, "minimum": 0.25, "maximum": 4.0, "whole": False}
LOUDNESS = {"default": -18.0, "minimum": -30.0, "maximum": -12.0, "whole": False}


def test_a_parameter_that_the_operator_has_switched_off_has_no_slider() -> None:
    assert with_sliders({"speed": SPEED, "loudness_lufs": LOUDNESS}) == {
        "speed": SPEED,
        "loudness_lufs": LOUDNESS,
    }
    assert with_sliders({"speed": SPEED, "loudness_lufs": {**LOUDNESS, "default": 0.0}}) == {
        "speed": SPEED
    }
