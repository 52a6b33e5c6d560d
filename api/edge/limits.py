"""Rate limits, counted in the database, so that all API processes count together.

`take` is called before the limited action. Its 429 has a Retry-After header. The caller chooses the name of the limit
and the key to count by: requests count by address (IPv6: by /64), new incidents by user.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import anyio
import msgspec
import psycopg

import sql
from api.edge.client_address import client_key
from api.rest.errors import ApiError
from sla_monitor.settings.values import Limit
from sql import OperationalError, Pool, database

log = logging.getLogger(__name__)

_UNLIMITED = frozenset({"health", "ready", "metrics", "openapi.json", "docs", "static", "ping"})
"""The first segment of paths that do not count: they are for monitoring, need no database, or (/ping) have a limit of
their own."""
COUNT_WITHIN_S = 3
"""The timeout of counting a request. After it the database is assumed to be away."""


class _Counted(msgspec.Struct):
    """`allowed`: the request is within the limit. `remaining`: further requests that are. `seconds`: the time until the
    window ends."""

    allowed: bool
    remaining: int
    seconds: int


class Limits:
    """All rate limits of an API process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(self, name: str, client: str, limit: Limit | None) -> Mapping[str, str]:
        """Counts one request of `client` against the limit `name`. Returns the RateLimit headers; none without a limit.

        Raises ApiError 429 if the limit is used up, OperationalError while the database is away.
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
            raise ApiError(429, "too_many_requests", headers=headers, seconds=counted.seconds)
        return headers

    async def give_back(self, name: str, client: str) -> None:
        """Undoes one `take`: the request does not count."""
        async with self._pool.connection() as connection:
            await connection.execute(sql.query("limits/give_back"), {"limit_name": name, "client": client})


class RequestLimits:
    """RATE_LIMIT_API and RATE_LIMIT_PAGES: requests of one address that are not served from the cache.

    Login, refresh and logout are counted separately, with the same limits: a client that has used up the others can
    still log in.
    """

    def __init__(self, running: Callable[[], Limits], api: Limit | None, pages: Limit | None) -> None:
        """`running` returns the `Limits` of the application. They exist only while it runs, since they need its
        pool."""
        self._running = running
        self._api = api
        self._pages = pages

    async def take(self, path: str, address: str) -> Mapping[str, str]:
        """As `Limits.take`. If the database responds but cannot count, as on a standby, no request is refused."""
        name, limit = self._limit_of([part for part in path.split("/") if part])  # as Litestar splits paths
        if limit is None:
            return {}
        try:
            with anyio.fail_after(COUNT_WITHIN_S):
                return await self._running().take(name, client_key(address), limit)
        except TimeoutError:
            raise OperationalError("the database takes too long to count") from None
        except OperationalError:
            raise
        except psycopg.Error as error:
            log.error("requests cannot be counted: %s", error.diag.message_primary)
            return {}

    def _limit_of(self, parts: Sequence[str]) -> tuple[str, Limit | None]:
        """The name of the limit for a path, and the limit; None for no limit."""
        match parts:
            case ["api", "auth", ("login" | "refresh" | "logout")]:
                return "api-login", self._api
            case ["login" | "logout"]:
                return "pages-login", self._pages
            case ["api", _, *_]:
                return "api", self._api
            case [first, *_] if first in _UNLIMITED:
                return "pages", None
        return "pages", self._pages
