"""An HTTP server to probe. It responds with 200 to every request, after a delay, with as little CPU time as possible.

The delay keeps several probes in progress at once, as on a network.
"""

import asyncio
import ssl

import uvloop

from bench.programs.messages import arguments, requests, respond

RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


class _Connection(asyncio.Protocol):
    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._received = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop passes this class
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"\r\n\r\n"):
            self._received = b""
            asyncio.get_running_loop().call_later(self._delay_s, self._transport.write, RESPONSE)


async def main(addresses: list[str], delay_ms: float, certificate: str | None) -> None:
    """`certificate` is the path of a PEM file with key and chain. The first response is the port, which is the same
    on all addresses."""
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    port = 0
    servers = []
    for address in addresses:
        server = await loop.create_server(lambda: _Connection(delay_ms / 1000), address, port, ssl=tls, backlog=4096)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
    respond({"port": port})
    async for _ in requests():
        pass
    for server in servers:
        server.close()


if __name__ == "__main__":
    uvloop.run(main(**arguments()))
