"""TLS servers that end connections in ways that asyncio does not offer. A thread serves each connection."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.prober.targets import Certificates

TIMEOUT_S = 120.0

TlsBehaviour = Callable[[ssl.SSLSocket], None]


@contextmanager
def tls_serving(context: ssl.SSLContext, serve: TlsBehaviour) -> Iterator[int]:
    """Serves connections until the end of the block. Yields the port."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def handle(raw: socket.socket) -> None:
            raw.settimeout(TIMEOUT_S)
            connection = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            with connection, suppress(OSError):
                serve(connection)

        def accept() -> None:
            with suppress(OSError):  # the socket is shut down at the end of the block
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
            accepting.join(TIMEOUT_S)
            for thread in threads:
                thread.join(TIMEOUT_S)


def responding_without_close_notify(raw: bytes) -> TlsBehaviour:
    """Responds to a request and closes the TCP connection without the TLS alert close_notify."""

    def serve(connection: ssl.SSLSocket) -> None:
        connection.do_handshake()
        _read_head(connection)
        connection.sendall(raw)
        _end(connection)

    return serve


def handshake_only(connection: ssl.SSLSocket) -> None:
    """Performs a handshake that fails because of the context. With TLS 1.3 the client sends its request before that."""
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
    """Sends FIN and reads the rest. Closing with unread data would send RST, and the client would lose the response."""
    plain = socket.socket(fileno=connection.detach())
    with plain:
        plain.settimeout(TIMEOUT_S)
        plain.shutdown(socket.SHUT_WR)
        with suppress(OSError):
            while plain.recv(65536):
                pass
