"""A server that sends messages to all its clients with `websockets.broadcast`: the reference of the fan-out."""

import time

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.programs.messages import arguments, requests, respond


async def main(port: int) -> None:
    """A request is a message. The response is the time.monotonic() before it was sent, and the number of clients."""
    connections: set[ServerConnection] = set()

    async def keep(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    async with serve(keep, "127.0.0.1", port, compression=None, backlog=4096):
        respond({})
        async for request in requests():
            began = time.monotonic()
            broadcast(connections, request["message"])
            respond({"at": began, "clients": len(connections)})


if __name__ == "__main__":
    uvloop.run(main(**arguments()))
