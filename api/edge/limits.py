"""How often one client may do something: counted in the database, so that all API processes count together.

`take` before it is done; a 429 tells the client when to come again. Names and keys are the caller's: the API's calls
count per address (IPv6: per /64), new incidents per user.
"""

import logging
from collections.abc import Mapping, Sequence

import anyio
import msgspec
import psycopg
from litestar.datastructures import State

import sql
from api.edge.client_address import client_key
from api.rest.errors import ApiError
from sla_monitor.settings.values import Limit
from sql import OperationalError, Pool, database

log = logging.getLogger(__name__)

_FREE = frozenset({"health", "ready", "metrics", "openapi.json", "docs", "static", "ping"})
"""For those who run it, never asked of the database, or counted by the key of the job."""
PATIENCE_S = 3
"""A call is rather not counted than kept waiting for longer."""


class _Counted(msgspec.Struct):
    allowed: bool
    remaining: int
    seconds: int


class Limits:
    """One for all limits of an API process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(self, name: str, client: str, limit: Limit | None) -> Mapping[str, str]:
        """Counts one more against `limit` and returns the RateLimit headers. Raises 429 where it is used up.

        Raises OperationalError while the database is away: nothing is counted then.
        """
        if limit is None:
            return {}
        counted = await database.row(
            self._pool,
            "limits/count",
            _Counted,
            limit_name=name,
            client=client,
            times=limit.times,
            window_length=limit.window,
        )
        assert counted is not None
        headers = {
            "RateLimit-Limit": str(limit.times),
            "RateLimit-Remaining": str(counted.remaining),
            "RateLimit-Reset": str(counted.seconds),
        }
        if not counted.allowed:
            headers["Retry-After"] = str(counted.seconds)
            raise ApiError(429, f"Too many requests; try again in {counted.seconds} s", headers=headers)
        return headers

    async def give_back(self, name: str, client: str) -> None:
        """Takes one back, for what turns out not to count."""
        async with self._pool.connection() as connection:
            await connection.execute(sql.query("limits/give_back"), {"limit_name": name, "client": client})


class Calls:
    """RATE_LIMIT_API and RATE_LIMIT_PAGES: what is computed for one address. Logging in, and staying so, is counted
    apart, as often as that: whoever has used up the rest can still come in."""

    def __init__(self, state: State, api: Limit | None, pages: Limit | None) -> None:
        self._state = state
        self._api = api
        self._pages = pages

    async def take(self, path: str, address: str) -> Mapping[str, str]:
        """As `Limits.take`; where the database answers but cannot count, a standby for one, nobody is refused."""
        name, limit = self._limit_of([part for part in path.split("/") if part])  # as routes are found
        if limit is None:
            return {}
        limits: Limits = self._state.limits
        try:
            with anyio.fail_after(PATIENCE_S):
                return await limits.take(name, client_key(address), limit)
        except TimeoutError:
            raise OperationalError("the database takes too long to count") from None
        except OperationalError:
            raise
        except psycopg.Error as error:
            log.error("calls cannot be counted: %s", error.diag.message_primary)
            return {}

    def _limit_of(self, parts: Sequence[str]) -> tuple[str, Limit | None]:
        match parts:
            case ["api", "auth", ("login" | "refresh" | "logout")]:
                return "api-login", self._api
            case ["login" | "logout"]:
                return "pages-login", self._pages
            case ["api", _, *_]:
                return "api", self._api
            case [first, *_] if first in _FREE:
                return "pages", None
        return "pages", self._pages
