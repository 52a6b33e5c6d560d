"""/health, /ready and /metrics."""

from time import monotonic

import anyio
from litestar import Response, Router, get
from litestar.enums import MediaType

from api.auth.permissions import requires
from api.live.feed import Feed
from api.metrics import Metrics
from api.rest.errors import ApiError
from api.rest.injected import Injected
from api.rest.problems import FieldProblem
from sla_monitor.texts.problems import ProblemCode
from sql import OperationalError, Pool

QUERY_TIMEOUT_S = 1.0
CACHED_S = 1.0
"""How long the state of the database is cached."""


class DatabaseState:
    """Whether the database can be written, cached for `CACHED_S`; one query at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lock = anyio.Lock()
        self._problem: ProblemCode | None = None
        self._cached_until = 0.0

    async def problem(self) -> ProblemCode | None:
        """The reason why the database cannot be written; None if it can."""
        async with self._lock:  # held for at most `QUERY_TIMEOUT_S`; waiting callers then use the cached value
            if monotonic() >= self._cached_until:
                self._problem = await _database_problem(self._pool)
                self._cached_until = monotonic() + CACHED_S
        return self._problem


@get("/health", summary="Get liveness", sync_to_thread=False, **requires("status:read", limited=False))
def health() -> dict[str, str]:
    """200 while the process runs, also without the database, because a restart of the API would not help."""
    return {"status": "ok"}


@get(
    "/ready",
    summary="Get readiness",
    **requires("status:read", 503, limited=False),
)
async def ready(feed: Injected[Feed], database: Injected[DatabaseState]) -> dict[str, str]:
    """503 while the database cannot be read and written, or while the live feed is not listening; `details` names the
    cause. Cached responses are still served."""
    problems = []
    if (problem := await database.problem()) is not None:
        problems.append(FieldProblem.of("database", problem))
    if feed.state != "listening":
        problems.append(FieldProblem.of("feed", "feed_not_listening", state=feed.state))
    if problems:
        raise ApiError(503, "not_ready_yet", problems, headers={"Retry-After": "2"})
    return {"status": "ready"}


@get(
    "/metrics",
    summary="Get the metrics",
    media_type=MediaType.TEXT,
    sync_to_thread=False,
    **requires("status:read", limited=False),
)
def metrics(pool: Injected[Pool], metrics: Injected[Metrics]) -> Response[bytes]:
    """All metrics of the API in the text format of Prometheus."""
    counted: Metrics = metrics
    for figure, value in pool.get_stats().items():
        counted.pool.labels(figure).set(value)
    return Response(counted.render(), media_type="text/plain; version=0.0.4")


async def _database_problem(pool: Pool) -> ProblemCode | None:
    try:
        with anyio.fail_after(QUERY_TIMEOUT_S):
            async with pool.connection() as connection:
                row = await (await connection.execute("SHOW transaction_read_only")).fetchone()
    except (OperationalError, TimeoutError):
        return "database_silent"
    return None if row == ("off",) else "database_read_only"


router = Router("/", route_handlers=[health, ready, metrics], tags=["operations"])
