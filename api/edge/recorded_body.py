"""The body of a form, kept while its request is worked on: an error page that is made outside the routes shows it."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from api.rest.errors import MAX_BODY_BYTES

PATIENCE_S = 2.0
"""For the part of the body that nothing has read yet."""
FORMS = (b"application/x-www-form-urlencoded", b"multipart/form-data")
Receive = Callable[[], Awaitable[Any]]


class RecordedBody:
    """`receive` of one request, which remembers a body of at most MAX_BODY_BYTES."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._body = bytearray()
        self._complete = False
        self._lost = False

    async def __call__(self) -> Any:
        message = await self._receive()
        if message["type"] != "http.request":
            self._lost = True
            return message
        if not self._lost:
            self._body += message.get("body", b"")
            self._lost = len(self._body) > MAX_BODY_BYTES
        self._complete = not message.get("more_body", False)
        return message

    async def whole(self) -> bytes | None:
        """The whole body; None where it is too large, or does not come within PATIENCE_S."""
        with anyio.move_on_after(PATIENCE_S):
            while not self._complete and not self._lost:
                await self()
        return bytes(self._body) if self._complete and not self._lost else None
