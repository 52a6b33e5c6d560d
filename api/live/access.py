"""The user of each socket. A socket is closed as soon as its user loses access.

After NOTIFY 'access' one query checks the users of all sockets of this process. They are also checked when the feed has
connected again, and every `SWEEP_S`. A token that expires closes its sockets.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from uuid import UUID

import anyio
import msgspec
import psycopg

from api.auth.gatekeeper import Gatekeeper
from api.auth.permissions import Principal, Role, sees_internal
from api.edge.token_bucket import TokenBucket
from api.edge.websocket import text_frame
from api.live.client import Client
from api.live.events import Transport
from api.live.room_names import ANONYMOUS, STAFF
from api.metrics import Metrics
from api.rest.errors import ApiError
from sql import Pool, database

log = logging.getLogger(__name__)

SWEEP_S = 10.0
"""How often the users of all sockets are checked without a notification."""
TICK_S = 1.0
"""How often tokens are checked for expiry."""
UPDATE_BURST, UPDATES_PER_SECOND = 5, 1.0
"""The token bucket of drafts and template updates of one socket: each is an event of up to 64 KB."""
UNAUTHORIZED = 4401
_SOCKETIO_DISCONNECT = text_frame(b"41")


class LiveConnection:
    """One socket and its user: anonymous until it sends a valid token."""

    __slots__ = ("address", "client", "former_id", "principal", "replayed", "since", "token", "updates")

    def __init__(self, client: Client, address: str) -> None:
        self.client = client
        self.address = address
        self.principal: Principal | None = None
        self.token: str | None = None
        self.since: int | None = None
        """The number of the last event that a reconnecting client received; None for a new client."""
        self.former_id: str | None = None
        """The id of the client's previous socket."""
        self.replayed: frozenset[str | None] = frozenset()
        """The rooms whose events after `since` have been replayed, or must not be. Empty for a new client."""
        self.updates = TokenBucket(UPDATE_BURST, UPDATES_PER_SECOND)

    def mark_replayed(self, rooms: Iterable[str | None]) -> None:
        """Excludes `rooms` from later replays of the events after `since`."""
        if self.since is not None:
            self.replayed = self.replayed.union(rooms)

    @property
    def audience(self) -> str:
        """The room of clients with the same access: STAFF or ANONYMOUS."""
        return STAFF if self.is_staff else ANONYMOUS

    @property
    def is_staff(self) -> bool:
        """Whether the client gets internal events."""
        return sees_internal(self.principal)

    def close(self, code: int, reason: str) -> None:
        """Closes the socket. A Socket.IO client also gets a disconnect packet, so that it does not reconnect by itself
        with the same token."""
        if self.client.transport is Transport.SOCKETIO:
            self.client.send(_SOCKETIO_DISCONNECT)
        self.client.dismiss(code, reason)


class _Valid(msgspec.Struct):
    credential_id: UUID
    user_id: UUID
    name: str
    role: Role


class Access:
    """The authenticated sockets of this process."""

    def __init__(self, pool: Pool, gatekeeper: Gatekeeper, metrics: Metrics, sockets_per_user: int) -> None:
        self._pool = pool
        self._gatekeeper = gatekeeper
        self._metrics = metrics
        self._sockets_per_user = sockets_per_user
        self._authenticated: dict[LiveConnection, None] = {}
        self._role_changed: dict[LiveConnection, Principal] = {}
        """Connections whose role has changed and that may still be in rooms that the new role does not allow."""
        self._per_user: Counter[UUID] = Counter()
        self._rechecks = 0
        self._recheck_due = anyio.Event()

    def recheck(self) -> None:
        """Requests a check of all sockets: a user's access has changed, or may have."""
        self._rechecks += 1
        self._recheck_due.set()

    async def authenticate(self, connection: LiveConnection, token: str) -> Principal:
        """Authenticates a socket by a token. A client may repeat this with a newer token before the current one
        expires.

        Raises 401 for an invalid token, 403 for the token of another user, 429 if the user has too many sockets.
        """
        rechecks = None
        while rechecks != self._rechecks:  # a change during the query may not be in its result
            rechecks = self._rechecks
            principal = await self._gatekeeper.principal(token, connection.address)
        if connection.principal is None:
            if self._per_user[principal.user_id] >= self._sockets_per_user:
                raise ApiError(429, "too_many_sockets_of_user")
            self._per_user[principal.user_id] += 1
            self._authenticated[connection] = None
        elif connection.principal.user_id != principal.user_id:
            raise ApiError(403, "other_users_socket")
        elif connection.principal.role != principal.role:
            self._role_changed[connection] = principal
            self._recheck_due.set()
        connection.principal, connection.token = principal, token
        return principal

    async def current_principal(self, connection: LiveConnection) -> Principal | None:
        """The current principal, read from the database; None for an anonymous socket. If the user's access has ended,
        closes the socket and raises 401.

        The result is not stored in the connection: `run` must notice a changed role itself.
        """
        if connection.token is None:
            return None
        try:
            return await self._gatekeeper.principal(connection.token, connection.address)
        except ApiError as error:
            if error.status == 401:
                self._end(connection)
            raise

    def remove(self, connection: LiveConnection) -> None:
        """Removes a closed socket."""
        if connection in self._authenticated:
            del self._authenticated[connection]
            self._role_changed.pop(connection, None)
            assert connection.principal is not None
            user_id = connection.principal.user_id
            self._per_user[user_id] -= 1
            if not self._per_user[user_id]:
                del self._per_user[user_id]

    async def run(self, restrict: Callable[[LiveConnection], Awaitable[None]]) -> None:
        """Checks sockets until cancelled. Calls `restrict` for each connection whose user's role has changed."""
        last_sweep = anyio.current_time()
        while True:
            with anyio.move_on_after(TICK_S):
                await self._recheck_due.wait()
            self._end_expired()
            if not self._recheck_due.is_set() and anyio.current_time() - last_sweep < SWEEP_S:
                continue
            self._recheck_due = anyio.Event()
            started = anyio.current_time()
            try:
                with anyio.fail_after(SWEEP_S):
                    await self._sweep()
                    last_sweep = anyio.current_time()
                    await self._restrict(restrict)
            except (psycopg.Error, TimeoutError) as error:
                self._failed("the access of sockets could not be checked", error)
            if self._role_changed or last_sweep < started:
                await anyio.sleep(TICK_S)
                self._recheck_due.set()

    async def _restrict(self, restrict: Callable[[LiveConnection], Awaitable[None]]) -> None:
        """Restricts each connection to its role. One that fails is tried again, independently of the others."""
        for connection, principal in tuple(self._role_changed.items()):
            try:
                await restrict(connection)
            except psycopg.Error as error:
                self._failed("a socket could not be restricted to its role", error)
            else:
                if self._role_changed.get(connection) is principal:  # otherwise the role has changed again
                    del self._role_changed[connection]

    def _failed(self, text: str, error: Exception) -> None:
        log.warning("%s (%s)", text, type(error).__name__)
        self._metrics.background_failures.labels("access").inc()

    def _end_expired(self) -> None:
        now = datetime.now(UTC)
        for connection in tuple(self._authenticated):
            expires_at = connection.principal.expires_at if connection.principal is not None else None
            if expires_at is not None and expires_at <= now:
                self._end(connection)

    async def _sweep(self) -> None:
        """Checks all sockets with one query."""
        before = [(connection, connection.principal) for connection in self._authenticated]
        if not before:
            return
        found = await database.rows(
            self._pool,
            "accounts/still_valid",
            _Valid,
            sessions=list({user.session_id for _, user in before if user is not None and user.session_id is not None}),
            tokens=list({user.token_id for _, user in before if user is not None and user.token_id is not None}),
        )
        self._metrics.access_sweeps.inc()
        valid: dict[UUID | None, _Valid] = {row.credential_id: row for row in found}
        for connection, principal in before:
            if principal is None or connection.principal is not principal:
                continue  # the client has sent a newer token during the query
            row = valid.get(principal.token_id or principal.session_id)
            if row is None or row.user_id != principal.user_id:
                self._end(connection)
            elif (row.name, row.role) != (principal.name, principal.role):
                connection.principal = msgspec.structs.replace(principal, name=row.name, role=row.role)
                self._role_changed[connection] = connection.principal

    def _end(self, connection: LiveConnection) -> None:
        if not connection.client.dismissed:
            self._metrics.access_ended.inc()
            connection.close(UNAUTHORIZED, "your access has ended; log in again")
