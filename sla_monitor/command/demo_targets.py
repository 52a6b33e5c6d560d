"""The targets of the demo: small HTTP servers on loopback ports, each with one behaviour, and a name that does not
exist.

The wrong certificate and its key are stored beside this file. The key protects nothing, because the certificate is
trusted nowhere. Generating one at each start would require a dependency of several megabytes (cryptography).
"""

import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import anyio
from anyio.abc import AnyByteStream, Listener, SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener

log = logging.getLogger(__name__)

CERTIFICATE = Path(__file__).with_name("demo_certificate.pem")
REQUEST_PATIENCE_S = 10
MAX_HEAD_BYTES = 8192
SEED = 90


class Response(NamedTuple):
    """The response to one request: the status code with its reason, sent after a delay."""

    status: str
    delay_ms: float


Behaviour = Callable[[int], Response]
"""Maps the number of a request, beginning with 0, to its response."""


def _jitter(request: int) -> random.Random:
    return random.Random(SEED + request)  # noqa: S311 - not a secret; the same at every start


def healthy(request: int) -> Response:
    """Responds after about 40 ms."""
    return Response("200 OK", _jitter(request).gauss(40, 6))


def slow(request: int) -> Response:
    """Responds after about 450 ms; one response in five takes longer than the 800 ms that count as degraded."""
    return Response("200 OK", _jitter(request).gauss(450, 60) + (600 if request % 5 == 3 else 0))


def flaky(request: int) -> Response:
    """Of 48 requests, one in eight of the first 24 fails; all others succeed."""
    bad = request % 48 < 24 and request % 8 == 2
    return Response("503 Service Unavailable" if bad else "200 OK", _jitter(request).gauss(90, 20))


def failing(request: int) -> Response:
    """Responds with an error to every request."""
    return Response("500 Internal Server Error", _jitter(request).gauss(25, 4))


class DemoService(NamedTuple):
    """One of the six services. Without a behaviour there is no server: `host` does not resolve."""

    id: str
    name: str
    description: str
    behaviour: Behaviour | None
    tls: bool = False
    host: str = "127.0.0.1"


SERVICES = (
    DemoService("demo-healthy", "Healthy shop", "Responds in about 40 ms", healthy),
    DemoService("demo-slow", "Slow search", "Sometimes takes longer than 800 ms: degraded", slow),
    DemoService("demo-flaky", "Flaky payments", "One check in eight fails, for minutes at a time", flaky),
    DemoService("demo-failing", "Failing checkout", "Responds with 500 Internal Server Error", failing),
    DemoService(
        "demo-wrong-certificate", "Wrong certificate", "Its certificate is for another host", healthy, tls=True
    ),
    DemoService("demo-dead-name", "Dead name", "Its host name does not exist", None, host="forgotten-domain.invalid"),
)


class _QuietTLSListener(TLSListener):
    """A TLS listener that logs failed handshakes at debug level only: refused certificates are its purpose."""

    @staticmethod
    async def handle_handshake_error(exc: BaseException, stream: AnyByteStream) -> None:
        log.debug("handshake: %s", exc)
        await anyio.aclose_forcefully(stream)


@asynccontextmanager
async def targets() -> AsyncIterator[dict[str, str]]:
    """Serves all targets until the block ends. Yields their URLs by service id."""
    urls: dict[str, str] = {}
    async with anyio.create_task_group() as group:
        for service in SERVICES:
            if service.behaviour is None:
                urls[service.id] = f"http://{service.host}/health"
                continue
            listening = await anyio.create_tcp_listener(local_host=service.host)
            port = listening.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
            urls[service.id] = f"{'https' if service.tls else 'http'}://{service.host}:{port}/health"
            listener: Listener[AnyByteStream] = _secured(listening) if service.tls else listening
            group.start_soon(_serve, listener, service.behaviour)
        yield urls
        group.cancel_scope.cancel()


def _secured(listener: Listener[AnyByteStream]) -> Listener[AnyByteStream]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return _QuietTLSListener(listener, context, standard_compatible=False, handshake_timeout=REQUEST_PATIENCE_S)


async def _serve(listener: Listener[AnyByteStream], behaviour: Behaviour) -> None:
    served = 0

    async def handle(stream: AnyByteStream) -> None:
        nonlocal served
        number, served = served, served + 1
        await _respond(stream, behaviour(number))

    async with listener:
        await listener.serve(handle)


async def _respond(stream: AnyByteStream, response: Response) -> None:
    """Reads one request, responds, and closes the connection. Gives up after `REQUEST_PATIENCE_S`."""
    with anyio.move_on_after(REQUEST_PATIENCE_S):
        async with stream:
            try:
                await BufferedByteReceiveStream(stream).receive_until(b"\r\n\r\n", MAX_HEAD_BYTES)
                await anyio.sleep(max(0.0, response.delay_ms) / 1000)
                body = response.status.encode()
                head = f"HTTP/1.1 {response.status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                await stream.send(head.encode() + body)
            except (anyio.IncompleteRead, anyio.DelimiterNotFound, anyio.BrokenResourceError, OSError):
                pass  # the client has disconnected, or does not send HTTP
