"""Certificates of content credentials: the operator's, and one for development.

C2PA asks for a certificate that is signed by another one, with the key usage of digital signatures and an extended key
usage for signing (https://spec.c2pa.org/specifications/, "Trust model"). A self-signed leaf is not valid.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from services import NAME
from services.http_edge.errors import CannotReadCertificate

DEVELOPMENT_NAME: Final = f"{NAME} development, not trusted"
_DEVELOPMENT_DAYS: Final = 365
_CURVES: Final = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class SigningIdentity:
    """A chain of certificates, and the key of its first one, which signs."""

    algorithm: str  # as C2PA names it
    chain: bytes  # PEM: the signer's certificate, then those above it
    key: bytes  # PEM, PKCS 8, without a password
    development: bool

    @property
    def digest(self) -> str:
        """Return a short text that differs for other certificates; development ones have the same."""
        return "development" if self.development else sha256(self.chain).hexdigest()[:8]


def read_identity(certificate_file: str, key_file: str) -> SigningIdentity:
    """Return the operator's identity. Raises CannotReadCertificate."""
    chain = _read("C2PA_CERTIFICATE_FILE", certificate_file)
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise CannotReadCertificate(
            "C2PA_CERTIFICATE_FILE is invalid; write the signer's certificate and those above it, in PEM"
        ) from None
    try:
        key = serialization.load_pem_private_key(_read("C2PA_KEY_FILE", key_file), None)
    except (ValueError, TypeError):
        raise CannotReadCertificate(
            "C2PA_KEY_FILE is invalid; write the private key in PEM, without a password"
        ) from None

    _check(certificates, key)
    return SigningIdentity(_algorithm(key), chain, _pem(key), development=False)


def development_identity() -> SigningIdentity:
    """Return a new identity whose certificate is on no trust list."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    authority_name = _name(f"{DEVELOPMENT_NAME}, authority")
    authority = (
        _certificate(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        _certificate(_name(DEVELOPMENT_NAME), authority_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    chain = leaf.public_bytes(pem) + authority.public_bytes(pem)
    return SigningIdentity(_algorithm(key), chain, _pem(key), development=True)


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise CannotReadCertificate(f"{setting} cannot be read: {error.strerror}") from None


def _check(certificates: list[x509.Certificate], key: PrivateKeyTypes) -> None:
    leaf = certificates[0]
    if leaf.public_key() != key.public_key():
        raise CannotReadCertificate(
            "C2PA_KEY_FILE is not the key of the first certificate in C2PA_CERTIFICATE_FILE"
        )
    if leaf.issuer == leaf.subject:
        raise CannotReadCertificate(
            "C2PA_CERTIFICATE_FILE begins with a self-signed certificate; C2PA needs one that an authority has signed"
        )
    now = datetime.now(UTC)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise CannotReadCertificate(
            f"the certificate in C2PA_CERTIFICATE_FILE is valid from {leaf.not_valid_before_utc:%Y-%m-%d} "
            f"to {leaf.not_valid_after_utc:%Y-%m-%d} only"
        )


def _algorithm(key: PrivateKeyTypes) -> str:
    """Return C2PA's name of the algorithm of a key. Raises CannotReadCertificate."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise CannotReadCertificate(
        "C2PA_KEY_FILE has a key of another kind; use P-256, P-384, P-521, Ed25519 or RSA"
    )


def _pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, DEVELOPMENT_NAME),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=_DEVELOPMENT_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
