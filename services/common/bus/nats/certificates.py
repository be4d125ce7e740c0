"""Expiry of the certificate that NATS presents."""

import ssl


class CertificateExpiry:
    """Records when the certificate of the connected server expires."""

    def __init__(self) -> None:
        self.unix_s: float | None = None  # None before the first handshake, and without TLS

    def context(self, ca_file: str) -> ssl.SSLContext:
        """Return a client context that trusts this authority and records the expiry at each handshake.

        Raises OSError or ValueError for an unreadable file.
        """
        expiry = self

        class RecordingSSLObject(ssl.SSLObject):
            def do_handshake(self) -> None:
                super().do_handshake()
                certificate = self.getpeercert()
                if certificate:
                    expiry.unix_s = ssl.cert_time_to_seconds(str(certificate["notAfter"]))

        context = ssl.create_default_context(cafile=ca_file)
        context.sslobject_class = RecordingSSLObject
        return context
