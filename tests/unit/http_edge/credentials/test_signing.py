"""Content credentials, verified by the reader of c2pa-python."""

import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from services import NAME, __version__
from services.common.runtime.settings import BadSettings
from services.http_edge.credentials.certificates import (
    DEVELOPMENT_NAME,
    development_identity,
    read_identity,
)
from services.http_edge.credentials.signing import ContentCredentials, content_credentials
from services.http_edge.encoders.books import Book, BookChapter, M4bEncoder
from services.http_edge.encoders.registry import FORMATS, OutputFormat
from services.http_edge.encoders.tags import SOURCE_TYPE, Tags
from services.http_edge.errors import CannotReadCertificate
from services.http_edge.http.signed_files import SignedFiles
from services.http_edge.settings import Settings
from tests.support.formats import decoded

c2pa = pytest.importorskip("c2pa")

RATE_HZ = 24_000
PCM = (np.sin(np.arange(RATE_HZ) * 0.05) * 8_000).astype("<i2").tobytes()
TAGS = Tags("a-request", "tone")
MEDIA_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "m4b": "audio/mp4"}


@pytest.fixture(scope="module")
def development() -> ContentCredentials:
    return ContentCredentials(development_identity())


def made(kind: str) -> bytes:
    """Return a file that is not signed."""
    if kind == "m4b":
        file = io.BytesIO()
        book = M4bEncoder(Book("A title", [BookChapter("One", 0, 1_000)]), file, TAGS)
        book.header(RATE_HZ, None)
        book.encode(PCM)
        book.end()
        return file.getvalue()
    encoder = FORMATS[kind].encoder(TAGS)
    return encoder.header(RATE_HZ, len(PCM)) + encoder.encode(PCM) + encoder.end()


def signed(credentials: ContentCredentials, content: bytes, media_type: str) -> bytes:
    target = io.BytesIO()
    credentials.sign_now(io.BytesIO(content), target, media_type)
    return target.getvalue()


def verified(content: bytes, media_type: str) -> dict[str, object]:
    with c2pa.Reader(media_type, io.BytesIO(content)) as reader:
        found: dict[str, object] = json.loads(reader.json())
    return found


def codes(found: dict[str, object]) -> list[str]:
    status = found.get("validation_status", [])
    assert isinstance(status, list)
    return [each["code"] for each in status]


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_a_signed_file_is_valid_and_its_development_certificate_is_not_trusted(
    development: ContentCredentials, kind: str
) -> None:
    content = signed(development, made(kind), MEDIA_TYPES[kind])
    found = verified(content, MEDIA_TYPES[kind])
    assert found["validation_state"] == "Valid"
    assert codes(found) == ["signingCredential.untrusted"]
    assert development.name == "c2pa-development"
    samples, _ = decoded(kind, content, RATE_HZ)
    expected, _ = decoded(kind, made(kind), RATE_HZ)
    assert np.array_equal(samples, expected)


@pytest.mark.parametrize("kind", MEDIA_TYPES)
def test_a_file_that_was_changed_is_invalid(development: ContentCredentials, kind: str) -> None:
    content = bytearray(signed(development, made(kind), MEDIA_TYPES[kind]))
    content[len(content) // 2] ^= 1
    found = verified(bytes(content), MEDIA_TYPES[kind])
    assert found["validation_state"] == "Invalid"
    assert any(code.endswith("Hash.mismatch") for code in codes(found))


def test_a_manifest_names_the_source_and_the_software_and_nothing_else(
    development: ContentCredentials,
) -> None:
    found = verified(signed(development, made("wav"), "audio/wav"), "audio/wav")
    manifests = found["manifests"]
    assert isinstance(manifests, dict)
    [manifest] = manifests.values()
    [assertion] = manifest["assertions"]
    [action] = assertion["data"]["actions"]
    assert action == {
        "action": "c2pa.created",
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": {"name": NAME, "version": __version__},
    }
    assert manifest["signature_info"]["issuer"] == DEVELOPMENT_NAME
    assert "title" not in manifest
    assert "time" not in manifest["signature_info"], "no server of time stamps is asked"


def test_a_signed_wav_has_its_audio_and_metadata_where_they_were(
    development: ContentCredentials,
) -> None:
    plain = made("wav")
    content = signed(development, plain, "audio/wav")
    assert content[8 : len(plain)] == plain[8:]
    assert content[len(plain) : len(plain) + 4] == b"C2PA"
    assert int.from_bytes(content[4:8], "little") == len(content) - 8


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Return the files of an identity as an operator has it."""
    identity = development_identity()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(identity.chain)
    key.write_bytes(identity.key)
    return chain, key


def settings_of(chain: Path, key: Path) -> Settings:
    return Settings(c2pa_certificate_file=str(chain), c2pa_key_file=str(key))


def test_the_operators_certificate_signs(files: tuple[Path, Path]) -> None:
    credentials = content_credentials(settings_of(*files))
    assert credentials is not None
    assert credentials.name == "c2pa"
    assert verified(signed(credentials, made("wav"), "audio/wav"), "audio/wav")[
        "validation_state"
    ] == ("Valid")


def test_a_bad_certificate_or_key_is_refused_at_start_by_the_name_of_its_setting(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    chain, key = files
    other = tmp_path / "other.pem"
    other.write_bytes(development_identity().key)
    authority = tmp_path / "authority.pem"
    authority.write_bytes(b"-----BEGIN" + chain.read_bytes().split(b"-----BEGIN")[-1])
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    for certificate, private, message in (
        (tmp_path / "missing.pem", key, "C2PA_CERTIFICATE_FILE cannot be read"),
        (chain, tmp_path / "missing.pem", "C2PA_KEY_FILE cannot be read"),
        (empty, key, "C2PA_CERTIFICATE_FILE is invalid"),
        (chain, empty, "C2PA_KEY_FILE is invalid"),
        (chain, other, "C2PA_KEY_FILE is not the key of the first certificate"),
        (authority, key, "C2PA_KEY_FILE is not the key"),
    ):
        with pytest.raises(CannotReadCertificate, match=message):
            read_identity(str(certificate), str(private))
    with pytest.raises(BadSettings, match="set both, or neither"):
        Settings(c2pa_certificate_file="chain.pem")


def test_without_the_package_nothing_is_signed_and_an_edge_that_must_sign_does_not_start(
    files: tuple[Path, Path],
) -> None:
    def missing() -> bool:
        return False

    assert content_credentials(Settings(), missing) is None
    assert content_credentials(Settings(content_credentials="off")) is None
    on = msgspec.structs.replace(Settings(), content_credentials="on")
    for settings in (on, settings_of(*files)):
        with pytest.raises(CannotReadCertificate, match="c2pa-python"):
            content_credentials(settings, missing)


def test_a_file_that_would_take_too_much_memory_is_not_signed(
    development: ContentCredentials,
) -> None:
    files = SignedFiles(development)
    wav, opus = OutputFormat(FORMATS["wav"]), OutputFormat(FORMATS["opus"])
    assert files.signs(wav, 28_800_000)
    assert not files.signs(wav, 40_000_000)
    assert not files.signs(opus, 1_000)
    assert files.accepts(100_000_000, "audio/mp4")
    assert not files.accepts(140_000_000, "audio/mp4")
    assert not SignedFiles(None).signs(wav, 1_000)


def test_a_development_identity_is_new_each_time() -> None:
    assert development_identity().key != development_identity().key
