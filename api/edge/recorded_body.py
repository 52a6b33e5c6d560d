"""Keeps the body of a form while its request is handled, for error pages that are made outside the routes."""

from typing import Any

import anyio

from api.edge.asgi import Receive
from api.rest.errors import MAX_BODY_BYTES

READ_WITHIN_S = 2.0
"""The time to receive the part of the body that no route has read."""
FORMS = (b"application/x-www-form-urlencoded", b"multipart/form-data")


class RecordedBody:
    """The `receive` of one request. It keeps a body of at most MAX_BODY_BYTES."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body = bytearray()
        self._complete = False
        self._unavailable = False

    async def __call__(self) -> Any:
        message = await self._receive()
        if message["type"] != "http.request":
            self._unavailable = True
            return message
        if not self._unavailable:
            self._body += message.get("body", b"")
            self._unavailable = len(self._body) > MAX_BODY_BYTES
        self._complete = not message.get("more_body", False)
        return message

    async def whole(self) -> bytes | None:
        """The whole body; None if it is too large or does not arrive within READ_WITHIN_S."""
        with anyio.move_on_after(READ_WITHIN_S):
            while not self._complete and not self._unavailable:
                await self()
        return bytes(self._body) if self._complete and not self._unavailable else None
