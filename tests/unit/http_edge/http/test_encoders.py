"""Output formats."""

import pytest

from services.http_edge.http.encoders import ENCODERS

PCM = bytes(range(256)) * 4


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_a_format_encodes_the_same_bytes_for_any_chunk_size(name: str) -> None:
    whole = ENCODERS[name]()
    chunked = ENCODERS[name]()
    expected = whole.encode(PCM) + whole.end()

    encoded = b"".join(chunked.encode(PCM[at : at + 100]) for at in range(0, len(PCM), 100))
    assert encoded + chunked.end() == expected


@pytest.mark.parametrize("name", sorted(ENCODERS))
@pytest.mark.parametrize("data_bytes", [None, 0, 1000])
def test_a_header_has_the_declared_length(name: str, data_bytes: int | None) -> None:
    encoder = ENCODERS[name]()
    if encoder.header_bytes is not None:
        assert len(encoder.header(24_000, data_bytes)) == encoder.header_bytes
