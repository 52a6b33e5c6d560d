"""Whether the process lives, whether it can do its work, and what it counts."""

from time import monotonic

import anyio
from litestar import Response, Router, get
from litestar.enums import MediaType

from api.auth.permissions import requires
from api.live.feed import Feed
from api.metrics import Metrics
from api.rest.errors import ApiError, responses
from api.rest.injected import Injected
from api.rest.problems import FieldProblem
from sla_monitor.texts.problems import ProblemCode
from sql import OperationalError, Pool

PATIENCE_S = 1.0
KEPT_S = 1.0


class DatabaseState:
    """What the database lacks: asked once in `KEPT_S` for all callers, by one query at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._asking = anyio.Lock()
        self._lacks: ProblemCode | None = None
        self._known_until = 0.0

    async def lacks(self) -> ProblemCode | None:
        """None where it can be written."""
        async with self._asking:  # for `PATIENCE_S` at most, then the others read what is known
            if monotonic() >= self._known_until:
                self._lacks = await _database_lacks(self._pool)
                self._known_until = monotonic() + KEPT_S
        return self._lacks


@get("/health", summary="The process lives", tags=["operations"], sync_to_thread=False, **requires("status:read"))
def health() -> dict[str, str]:
    """No database in it: an orchestrator that restarts us because the database is away helps nobody."""
    return {"status": "ok"}


@get(
    "/ready",
    summary="The API can do its work",
    tags=["operations"],
    responses=responses(503),
    **requires("status:read"),
)
async def ready(feed: Injected[Feed], database: Injected[DatabaseState]) -> dict[str, str]:
    """503 names what is missing; a database that may only be read is. The status page is served from memory all the
    same."""
    problems = []
    if (lacking := await database.lacks()) is not None:
        problems.append(FieldProblem.of("database", lacking))
    if feed.state != "listening":
        problems.append(FieldProblem.of("feed", "feed_not_listening", state=feed.state))
    if problems:
        raise ApiError(503, "not_ready_yet", problems, headers={"Retry-After": "2"})
    return {"status": "ready"}


@get(
    "/metrics",
    summary="Prometheus metrics",
    tags=["operations"],
    media_type=MediaType.TEXT,
    sync_to_thread=False,
    **requires("status:read"),
)
def metrics(pool: Injected[Pool], metrics: Injected[Metrics]) -> Response[bytes]:
    """The text format of Prometheus."""
    counted: Metrics = metrics
    for figure, value in pool.get_stats().items():
        counted.pool.labels(figure).set(value)
    return Response(counted.render(), media_type="text/plain; version=0.0.4")


async def _database_lacks(pool: Pool) -> ProblemCode | None:
    """What is wrong with the database; None where it can be written."""
    try:
        with anyio.fail_after(PATIENCE_S):
            async with pool.connection() as connection:
                row = await (await connection.execute("SHOW transaction_read_only")).fetchone()
    except (OperationalError, TimeoutError):
        return "database_silent"
    return None if row == ("off",) else "database_read_only"


router = Router("/", route_handlers=[health, ready, metrics])
