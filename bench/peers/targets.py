"""What is probed: a server that answers 200 to everything, over TLS where it has a certificate, as cheaply as it can.

It waits `delay_ms` before each answer, so that several probes are under way at once, as on a network.
"""

import asyncio
import ssl

import uvloop

from bench.peers.talk import answer, arguments, questions

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


class _Target(asyncio.Protocol):
    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._asked = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvloop's are that in deed
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._asked += data
        if self._asked.endswith(b"\r\n\r\n"):
            self._asked = b""
            asyncio.get_running_loop().call_later(self._delay_s, self._transport.write, ANSWER)


async def main(addresses: list[str], delay_ms: float, certificate: str | None) -> None:
    """`certificate` is a PEM file of key and chain; the answer is the port, the same on all addresses."""
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    port = 0
    servers = []
    for address in addresses:
        server = await loop.create_server(lambda: _Target(delay_ms / 1000), address, port, ssl=tls, backlog=4096)
        servers.append(server)
        port = server.sockets[0].getsockname()[1]
    answer({"port": port})
    async for _ in questions():
        pass
    for server in servers:
        server.close()


if __name__ == "__main__":
    uvloop.run(main(**arguments()))
