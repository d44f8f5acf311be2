"""TLS for probes, and the certificate that a service presents.

Certificates are not validated, since a service answers regardless of who signed its certificate.
Self-signed and expired ones, old versions and weak keys are accepted.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from socket import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography import x509


class _Context(ssl.SSLContext):
    """Sends `name` as SNI, whatever name a protocol's library passes. Libraries pass the address
    that they connect to, and an address is never sent (RFC 6066).
    """

    name: str | None = None

    def wrap_socket(  # noqa: PLR0917 # as the standard library has it
        self,
        sock: socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        return super().wrap_socket(
            sock,
            server_side,
            do_handshake_on_connect,
            suppress_ragged_eofs,
            self.name or server_hostname,
            session,
        )


@cache
def context(name: str | None) -> ssl.SSLContext:
    """One context for all probes with this name: creating one takes half a millisecond."""
    made = _Context(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    made.set_ciphers("DEFAULT:@SECLEVEL=0")
    made.name = name
    return made


@dataclass(frozen=True)
class Certificate:
    """`ends` is like 2027-01-31T12:00:00Z. It is None, and there are no names, if the certificate
    cannot be parsed. `sha256` is over the whole certificate, in hexadecimal.
    """

    sha256: str
    names: tuple[str, ...]
    ends: str | None

    def __str__(self) -> str:
        names = ", ".join(self.names) or "no name that can be read"
        return f"{names}, ends {self.ends or 'unknown'} (SHA-256 {self.sha256[:16]})"

    @classmethod
    def of(cls, der: bytes) -> Certificate:
        """Parse a certificate in DER."""
        names: tuple[str, ...] = ()
        ends = None
        from cryptography import x509

        with suppress(Exception):  # an invalid certificate is still an answer
            read = x509.load_der_x509_certificate(der)
            ends = read.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
            names = tuple(_printable(name) for name in _names(read))
        return cls(sha256(der).hexdigest(), names, ends)


def _names(certificate: x509.Certificate) -> list[str]:
    """The names that clients compare with the host name; the subject if there are none."""
    from cryptography import x509

    with suppress(x509.ExtensionNotFound):
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = [
            *found.get_values_for_type(x509.DNSName),
            *map(str, found.get_values_for_type(x509.IPAddress)),
        ]
        if names:
            return names
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return [str(each.value) for each in common] or [certificate.subject.rfc4514_string()]


def _printable(name: str) -> str:
    """Without control characters: the name comes from outside, and is shown on a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


@dataclass(frozen=True)
class Presented:
    """A certificate, and when it was presented for the first time, in seconds since 1970."""

    since: float
    certificate: Certificate


def presented(line: Any) -> Presented | None:
    """The certificate in a line of the prober; None if it is not complete."""
    try:
        data = line["certificate"]
        names, ends = data["names"], data["ends"]
        if ends is not None:
            datetime.fromisoformat(ends)
        if not all(isinstance(each, str) for each in (data["sha256"], *names)):
            return None
        return Presented(float(line["t"]), Certificate(data["sha256"], tuple(names), ends))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
