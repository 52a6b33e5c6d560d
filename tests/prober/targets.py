"""Small servers to probe on loopback. A coroutine, the behaviour, serves each connection. Most are hostile."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(behaviour: Behaviour, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[int]:
    """Serves connections until the end of the block. Yields the port; it is a free one by default."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behaviour(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the prober has closed the connection
        finally:
            writer.close()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accepted, "127.0.0.1", port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def responding(raw: bytes) -> Behaviour:
    """Reads the head of a request, sends these bytes and closes the connection."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        await writer.drain()

    return behave


def http_response(body: bytes = b"ok", status: str = "200 OK", headers: str = "") -> bytes:
    """`headers` are additional header lines, each with its line break."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def good(body: bytes = b"ok", status: str = "200 OK", headers: str = "") -> Behaviour:
    return responding(http_response(body, status, headers))


def recording(heads: list[bytes], raw: bytes) -> Behaviour:
    """Responds with `raw` and appends the head of each request to `heads`."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(raw)
        await writer.drain()

    return behave


def endless(head: bytes, piece: bytes, pause_s: float = 0.0) -> Behaviour:
    """Sends the head and then the piece repeatedly, with a pause after each."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return behave


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads everything and never responds."""
    while await reader.read(65536):
        pass


async def close_silently(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def reset_in_response(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a part of a response and resets the connection (RST)."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of")
    await writer.drain()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def closed_port() -> int:
    """A port that refuses connections. A socket is bound to it and does not listen, so that no process gets it."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    _HELD.append(holder)
    port: int = holder.getsockname()[1]
    return port


_HELD: list[socket.socket] = []


class Certificates:
    """Valid and invalid server certificates for 127.0.0.1, and the file of the CA to trust."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def valid(self, until: datetime | None = None) -> ssl.SSLContext:
        return _context(self._ca.issue_cert("127.0.0.1", not_after=until, key_type=trustme.KeyType.ECDSA))

    def expired(self) -> ssl.SSLContext:
        past = datetime.now(UTC) - timedelta(days=1)
        return _context(self._ca.issue_cert("127.0.0.1", not_after=past, key_type=trustme.KeyType.ECDSA))

    def wrong_host(self) -> ssl.SSLContext:
        return _context(self._ca.issue_cert("other.example", key_type=trustme.KeyType.ECDSA))

    def untrusted(self) -> ssl.SSLContext:
        stranger = trustme.CA(key_type=trustme.KeyType.ECDSA)
        return _context(stranger.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA))

    def self_signed(self, folder: Path) -> ssl.SSLContext:
        """A certificate that is signed with its own key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = folder / "self-signed.pem"
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
