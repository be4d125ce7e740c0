"""Output formats."""

import pytest

from services.http_edge.http.encoders import ENCODERS

PCM = bytes(range(256)) * 4


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_a_format_encodes_the_same_however_the_audio_is_cut(name: str) -> None:
    whole = ENCODERS[name]()
    cut = ENCODERS[name]()
    expected = whole.encode(PCM) + whole.end()
    assert (
        b"".join(cut.encode(PCM[start : start + 100]) for start in range(0, len(PCM), 100))
        + cut.end()
        == expected
    )


@pytest.mark.parametrize("name", sorted(ENCODERS))
@pytest.mark.parametrize("data_bytes", [None, 0, 1000])
def test_a_header_has_its_stated_length(name: str, data_bytes: int | None) -> None:
    encoder = ENCODERS[name]()
    if encoder.header_bytes is not None:
        assert len(encoder.header(24_000, data_bytes)) == encoder.header_bytes
