"""The peer of the fan-out: `websockets.broadcast` to all who are connected."""

import time

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.peers.talk import answer, arguments, questions


async def main(port: int) -> None:
    """Each question is a message; the answer is when its sending began, on the machine's monotonic clock."""
    connections: set[ServerConnection] = set()

    async def keep(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    async with serve(keep, "127.0.0.1", port, compression=None, backlog=4096):
        answer({})
        async for question in questions():
            began = time.monotonic()
            broadcast(connections, question["message"])
            answer({"at": began, "clients": len(connections)})


if __name__ == "__main__":
    uvloop.run(main(**arguments()))
