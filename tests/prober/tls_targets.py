"""TLS servers that end connections in ways asyncio's do not. Each connection is served by a thread of its own."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.prober.targets import Certificates

PATIENCE_S = 120.0

Ending = Callable[[ssl.SSLSocket], None]


@contextmanager
def tls_serving(context: ssl.SSLContext, serve: Ending) -> Iterator[int]:
    """Serves each connection until the block ends; yields the port."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def handle(raw: socket.socket) -> None:
            raw.settimeout(PATIENCE_S)
            connection = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            with connection, suppress(OSError):
                serve(connection)

        def accept() -> None:
            with suppress(OSError):  # the end of the block shuts the socket down
                while True:
                    thread = threading.Thread(target=handle, args=[listening.accept()[0]])
                    threads.append(thread)
                    thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join(PATIENCE_S)
            for thread in threads:
                thread.join(PATIENCE_S)


def answering_without_close_notify(raw: bytes) -> Ending:
    """Answers a request and ends the connection as if there were no TLS: FIN, and no alert before it."""

    def serve(connection: ssl.SSLSocket) -> None:
        connection.do_handshake()
        _read_head(connection)
        connection.sendall(raw)
        _end(connection)

    return serve


def refusing(connection: ssl.SSLSocket) -> None:
    """Does the handshake, which fails by the context's doing; with TLS 1.3 the client has sent its request by then."""
    try:
        connection.do_handshake()
        _read_head(connection)
    except ssl.SSLError:
        _end(connection)


def client_certificates_required(certificates: Certificates, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = certificates.valid()
    context.load_verify_locations(certificates.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    return context


def _read_head(connection: ssl.SSLSocket) -> None:
    read = b""
    while b"\r\n\r\n" not in read:
        piece = connection.recv(65536)
        if not piece:
            return
        read += piece


def _end(connection: ssl.SSLSocket) -> None:
    """FIN, and the rest is read: a RST would take away what the client has not read yet."""
    plain = socket.socket(fileno=connection.detach())
    with plain:
        plain.settimeout(PATIENCE_S)
        plain.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while plain.recv(65536):
                pass
