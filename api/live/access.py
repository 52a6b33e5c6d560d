"""Who is at the other end of each socket, and for how long: whoever loses access loses the socket at once.

A change of anybody's access is heard as NOTIFY 'access'; then all sockets of this process are looked up again with one
query. So they are after the listener was away, and every `SWEEP_S` in any case. A token that expires ends its sockets.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import anyio
import msgspec
import psycopg

from api.auth.gatekeeper import Gatekeeper
from api.auth.permissions import Principal, Role, sees_internal
from api.edge.server import text_frame
from api.edge.token_bucket import TokenBucket
from api.live.hub import ANONYMOUS, STAFF, Client, Transport
from api.metrics import Metrics
from api.rest.errors import ApiError
from sql import Pool, database

log = logging.getLogger(__name__)

SWEEP_S = 10.0
TICK_S = 1.0
"""How late an expired token may be noticed."""
SAVES, SAVES_PER_SECOND = 5, 1.0
"""How many drafts one socket may save at once and in the long run: each is an event of up to 64 KB."""
UNAUTHORIZED = 4401
_SOCKETIO_DISCONNECT = text_frame(b"41")


class LiveConnection:
    """One socket and who it belongs to: nobody known, until it shows a token that is good."""

    __slots__ = ("address", "client", "former", "principal", "replayed", "saves", "since", "token")

    def __init__(self, client: Client, address: str) -> None:
        self.client = client
        self.address = address
        self.principal: Principal | None = None
        self.token: str | None = None
        self.since: int | None = None
        """The last event that it heard before it was cut off; None where it does not come back."""
        self.former: str | None = None
        """The socket that it was then."""
        self.replayed: set[str | None] = set()
        """The rooms whose events after `since` it has been told, or is not to be told."""
        self.saves = TokenBucket(SAVES, SAVES_PER_SECOND)

    @property
    def crowd(self) -> str:
        """The one of the two rooms that it is in without asking."""
        return STAFF if self.inside else ANONYMOUS

    @property
    def inside(self) -> bool:
        """Whether it is told what is internal."""
        return sees_internal(self.principal)

    def end(self, code: int, reason: str) -> None:
        """Ends the socket so that a Socket.IO client does not come back by itself with the same token."""
        if self.client.door is Transport.SOCKETIO:
            self.client.offer(_SOCKETIO_DISCONNECT)
        self.client.dismiss(code, reason)


class _Valid(msgspec.Struct):
    credential_id: UUID
    user_id: UUID
    name: str
    role: Role


class Access:
    """The sockets of this process that belong to somebody."""

    def __init__(self, pool: Pool, gatekeeper: Gatekeeper, metrics: Metrics, sockets_per_user: int) -> None:
        self._pool = pool
        self._gatekeeper = gatekeeper
        self._metrics = metrics
        self._sockets_per_user = sockets_per_user
        self._known: dict[LiveConnection, None] = {}
        self._unrestricted: dict[LiveConnection, Principal] = {}
        """Those whose role is another, and who still may be where it does not let them."""
        self._per_user: Counter[UUID] = Counter()
        self._notices = 0
        self._noticed = anyio.Event()

    def notice(self) -> None:
        """Somebody's access changed, or may have while nobody listened."""
        self._notices += 1
        self._noticed.set()

    async def identify(self, participant: LiveConnection, token: str) -> Principal:
        """Makes the socket that of `token`'s owner; again with a newer token, before the first one expires.

        Raises 401, and 429 where they have too many sockets already.
        """
        notices = None
        while notices != self._notices:  # what changed while the database was asked may not be in its answer
            notices = self._notices
            principal = await self._gatekeeper.principal(token, participant.address)
        if participant.principal is None:
            if self._per_user[principal.user_id] >= self._sockets_per_user:
                raise ApiError(429, "too_many_sockets_of_user")
            self._per_user[principal.user_id] += 1
            self._known[participant] = None
        elif participant.principal.user_id != principal.user_id:
            raise ApiError(403, "other_users_socket")
        elif participant.principal.role != principal.role:
            self._unrestricted[participant] = principal
            self._noticed.set()
        participant.principal, participant.token = principal, token
        return principal

    async def refresh(self, participant: LiveConnection) -> Principal | None:
        """Who it is now, for something that is not for everybody. Raises 401, and ends the socket, if it is over.

        It is not remembered here: `run` has to see that the role is another, and act on it.
        """
        if participant.token is None:
            return None
        try:
            return await self._gatekeeper.principal(participant.token, participant.address)
        except ApiError as error:
            if error.status == 401:
                self._end(participant)
            raise

    def forget(self, participant: LiveConnection) -> None:
        """The socket is closed."""
        if participant in self._known:
            del self._known[participant]
            self._unrestricted.pop(participant, None)
            assert participant.principal is not None
            user_id = participant.principal.user_id
            self._per_user[user_id] -= 1
            if not self._per_user[user_id]:
                del self._per_user[user_id]

    async def run(self, restrict: Callable[[LiveConnection], Awaitable[None]]) -> None:
        """Until cancelled. `restrict` is called for each socket whose owner's role is another than before."""
        last_sweep = anyio.current_time()
        while True:
            with anyio.move_on_after(TICK_S):
                await self._noticed.wait()
            self._end_expired()
            if not self._noticed.is_set() and anyio.current_time() - last_sweep < SWEEP_S:
                continue
            self._noticed = anyio.Event()
            started = anyio.current_time()
            try:
                with anyio.fail_after(SWEEP_S):
                    await self._sweep()
                    last_sweep = anyio.current_time()
                    await self._restrict(restrict)
            except (psycopg.Error, TimeoutError) as error:
                self._failed("the access of sockets could not be looked up", error)
            if self._unrestricted or last_sweep < started:
                await anyio.sleep(TICK_S)
                self._noticed.set()

    async def _restrict(self, restrict: Callable[[LiveConnection], Awaitable[None]]) -> None:
        """Each stays noted until it is done, whatever becomes of the others."""
        for participant, principal in tuple(self._unrestricted.items()):
            try:
                await restrict(participant)
            except psycopg.Error as error:
                self._failed("a socket could not be restricted to its role", error)
            else:
                if self._unrestricted.get(participant) is principal:  # else it became somebody else meanwhile
                    del self._unrestricted[participant]

    def _failed(self, what: str, error: Exception) -> None:
        log.warning("%s (%s)", what, type(error).__name__)
        self._metrics.background_failures.labels("access").inc()

    def _end_expired(self) -> None:
        now = datetime.now(UTC)
        for participant in tuple(self._known):
            expires_at = participant.principal.expires_at if participant.principal is not None else None
            if expires_at is not None and expires_at <= now:
                self._end(participant)

    async def _sweep(self) -> None:
        """Looks all sockets up at once; notes those whose role changed."""
        asked = [(participant, participant.principal) for participant in self._known]
        if not asked:
            return
        found = await database.rows(
            self._pool,
            "accounts/still_valid",
            _Valid,
            sessions=list({who.session_id for _, who in asked if who is not None and who.session_id is not None}),
            tokens=list({who.token_id for _, who in asked if who is not None and who.token_id is not None}),
        )
        self._metrics.access_sweeps.inc()
        valid: dict[UUID | None, _Valid] = {row.credential_id: row for row in found}
        for participant, before in asked:
            if before is None or participant.principal is not before:
                continue  # it has shown a newer token meanwhile
            row = valid.get(before.token_id or before.session_id)
            if row is None or row.user_id != before.user_id:
                self._end(participant)
            elif (row.name, row.role) != (before.name, before.role):
                participant.principal = msgspec.structs.replace(before, name=row.name, role=row.role)
                self._unrestricted[participant] = participant.principal

    def _end(self, participant: LiveConnection) -> None:
        if not participant.client.dismissed:
            self._metrics.access_ended.inc()
            participant.end(UNAUTHORIZED, "your access has ended; log in again")
