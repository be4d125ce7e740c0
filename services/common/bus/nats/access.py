"""Credentials and TLS of a connection to NATS."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.common.bus.nats.certificates import CertificateExpiry
from services.common.wire.failures import BusUnavailable


@dataclass(frozen=True)
class Access:
    """The files and the inbox prefix that a NATS user connects with; empty paths are not used."""

    nkey_seed_file: str = ""
    ca_file: str = ""
    inbox_prefix: str = "_INBOX"
    expiry: CertificateExpiry = field(default_factory=CertificateExpiry, compare=False)

    def options(self) -> dict[str, Any]:
        """Return keyword arguments for `nats.connect`. Raises BusUnavailable for an unreadable file."""
        options: dict[str, Any] = {"inbox_prefix": self.inbox_prefix.encode()}

        try:
            if self.nkey_seed_file:
                seed = Path(self.nkey_seed_file).read_text(encoding="ascii")
                options["nkeys_seed_str"] = seed.strip()
            if self.ca_file:
                options["tls"] = self.expiry.context(self.ca_file)
        except (OSError, ValueError) as error:
            raise BusUnavailable(
                f"NATS_NKEY_SEED_FILE or NATS_CA_FILE cannot be used ({error})"
            ) from None

        return options


WITHOUT_CREDENTIALS: Final = Access()
