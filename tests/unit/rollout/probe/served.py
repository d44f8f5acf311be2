"""Servers on the loopback that speak TLS, with certificates of their own making."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ENDS = datetime(2031, 5, 6, 7, 8, 9)
Talk = Callable[[socket.socket], None]


def certified(where: Path, *names: str, ends: datetime = ENDS) -> Path:
    """A self-signed certificate for these names, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=5000))
        .not_valid_after(ends)
    )
    if len(names) > 1:
        others = [
            x509.IPAddress(IPv4Address(name)) if name[0].isdigit() else x509.DNSName(name)
            for name in names
        ]
        made = made.add_extension(x509.SubjectAlternativeName(others), critical=False)
    path = where / f"{names[0]}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    return path


def context(pem: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(pem)
    return made


def der(pem: Path) -> bytes:
    """The certificate of the file, as it goes over the wire."""
    text = pem.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])


@contextmanager
def serving(talk: Talk, port: int = 0) -> Iterator[int]:
    """Serves each client in a thread of its own; yields the port."""
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    talks: list[Thread] = []

    def one(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(5)
            talk(client)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                talks.append(Thread(target=one, args=(client,)))
                talks[-1].start()

    thread = Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for each in talks:
            each.join()


def said(client: socket.socket, banner: str, replies: dict[str, str]) -> str:
    """Speak lines: a reply by the command in each line heard, {tag} being the line's first word.

    Ends with what the client says last: at its end, or with the word STARTTLS or STLS.
    """
    with client.makefile("rw", newline="") as stream:
        stream.write(banner)
        stream.flush()
        for line in stream:
            words = line.split()
            command = next((each for each in words[:2] if each.upper() in replies), "")
            stream.write(replies[command.upper()].format(tag=words[0]))
            stream.flush()
            if command.upper() in ("STARTTLS", "STLS"):
                return command
    return ""


def tunnelled(pem: Path, banner: str, replies: dict[str, str]) -> Talk:
    """A protocol of lines within TLS."""
    made = context(pem)

    def talk(client: socket.socket) -> None:
        with made.wrap_socket(client, server_side=True) as secured:
            said(secured, banner, replies)

    return talk


def upgraded(pem: Path, banner: str, replies: dict[str, str]) -> Talk:
    """A protocol of lines that begins in the clear, and goes on in TLS when it is asked to."""
    made = context(pem)

    def talk(client: socket.socket) -> None:
        if said(client, banner, replies):
            with made.wrap_socket(client, server_side=True) as secured:
                said(secured, "", replies)

    return talk
