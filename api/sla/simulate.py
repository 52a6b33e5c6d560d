"""What the service levels of a period would be under another policy, with further corrections, or without some.

The changes are stored by the code that saves them, in a transaction that is rolled back. So they are validated as
always, all figures come from the same functions, and nothing is left: no row, no event, no entry of the audit log.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, post
from litestar.params import JSONBody
from msgspec import Meta
from psycopg.errors import DeadlockDetected, LockNotAvailable, QueryCanceled, SerializationFailure, UniqueViolation
from psycopg.rows import class_row

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import Principal, requires
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.rest.errors import BODY_ERRORS, ApiError, invalid
from api.rest.injected import Injected
from api.rest.problems import FieldProblem
from api.services.affected import require_services
from api.services.names import ServiceName, Slug
from api.sla import corrections
from api.sla.corrections import NewCorrection
from api.sla.figures import days_of
from api.sla.level_rows import Verdict
from api.sla.periods import Checked, require_checked
from api.sla.policy_fields import NewPolicy
from api.sla.policy_versions import add_version, checked_terms
from api.sla.subjects import Scope
from sql import Pool, database
from sql.database import Actor, Connection

CACHEABLE: tuple[Cacheable, ...] = ()
MAX_SERVICES = 1000
"""The largest number of services in a simulation."""
MAX_CORRECTIONS = 20
"""The largest number of corrections to add, or to withdraw."""
ATTEMPTS = 3
CorrectionId = Annotated[str, Meta(max_length=36)]
Services = Annotated[list[Slug], Meta(min_length=1, max_length=MAX_SERVICES)]
Subjects = list[tuple[Scope, str | None]]
Period = Annotated[str, Meta(max_length=7, description="A month (2026-10), a quarter (2026-Q3) or a year (2026)")]


class Simulation(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """`period`: by default the current month in the reporting time zone. `services`: by default those that the changes
    are for. `policy`: it replaces the policy of its subject, by default for the whole period. `corrections`: the later
    one counts where two of them overlap. `withdrawn`: the ids of corrections that would not count."""

    period: Period | None = None
    services: Services | None = None
    policy: NewPolicy | None = None
    corrections: Annotated[list[NewCorrection], Meta(max_length=MAX_CORRECTIONS)] = []
    withdrawn: Annotated[list[CorrectionId], Meta(max_length=MAX_CORRECTIONS)] = []


class AppliedPolicy(msgspec.Struct):
    """The latest policy version of a period. `target`: in percent; of several versions the mean by planned time."""

    id: UUID
    version: int
    name: str
    target: float


class Figures(msgspec.Struct, rename="camel"):
    """The service level in a period. `uptime`: in percent, rounded down, "-" without data."""

    policy: AppliedPolicy
    uptime: str
    verdict: Verdict | None
    down_seconds: float
    outages: int
    budget_seconds: float
    left_seconds: float


class SimulatedService(msgspec.Struct):
    """`current`: as the figures are now. `simulated`: as they would be. Null: no policy applies."""

    service: ServiceName
    current: Figures | None
    simulated: Figures | None


class SimulationResponse(msgspec.Struct):
    """The services by name. A policy that is new in `simulated` does not exist: its id and version are not stored."""

    period: str
    services: list[SimulatedService]


class ServiceRow(msgspec.Struct):
    """A row of sla/simulated_services."""

    id: str
    name: str
    first_check: datetime | None


class LevelRow(msgspec.Struct):
    """A row of sla/simulated_levels."""

    service_id: str
    policy_id: UUID
    version: int
    name: str
    target: float
    ends_at: datetime
    uptime: str
    verdict: Verdict | None
    down_seconds: float
    outages: int
    budget_seconds: float
    left_seconds: float

    @property
    def figures(self) -> Figures:
        policy = AppliedPolicy(self.policy_id, self.version, self.name, self.target)
        values = {name: getattr(self, name) for name in Figures.__struct_fields__ if name != "policy"}
        return Figures(policy, **values)


Levels = dict[str, LevelRow]


@post(
    "/sla/simulate",
    summary="Compute service levels under other terms",
    status_code=200,
    **requires("sla:simulate", 409, *BODY_ERRORS),
)
async def simulate(request: ApiRequest, pool: Injected[Pool], data: JSONBody[Simulation]) -> SimulationResponse:
    """The figures of a period as they are, and as they would be under another policy, with further corrections or
    without some. Nothing is stored. The policy and the corrections are validated as if they were saved. 400 for a
    period that ended before the first check of all of the services, and for more than 1,000 services. 409 if a service
    has two tags that would both have a policy, or if a correction is already withdrawn. 503 if the simulation takes too
    long."""
    return await simulated(pool, principal_of(request), actor(request), data)


async def simulated(pool: Pool, author: Principal, by: Actor, data: Simulation) -> SimulationResponse:
    """As the route, for a user. Raises 400, 409 or 503.

    If another transaction saves the same policy or correction meanwhile, the simulation begins again.
    """
    for _ in range(ATTEMPTS):
        with suppress(UniqueViolation, SerializationFailure, DeadlockDetected):
            return await _simulated(pool, author, by, data)
    raise _too_slow()


async def _simulated(pool: Pool, author: Principal, by: Actor, data: Simulation) -> SimulationResponse:
    async with _discarded(pool, by) as connection:
        today = await _value(connection, "sla/today")
        period = data.period or f"{today:%Y-%m}"
        days = days_of(period)
        # Rolling back to a savepoint releases the locks of the changes before the other figures are computed.
        async with connection.transaction(force_rollback=True):
            subjects = await _change(connection, author, data, days[0])
            services = await _services(connection, data.services, subjects)
            would_be = await _levels(connection, services, days, len(data.corrections))
        current = await _levels(connection, services, days, 0)
    _require_checks(services, [*current.values(), *would_be.values()])
    return SimulationResponse(
        period,
        [
            SimulatedService(ServiceName(row.id, row.name), _figures(current, row.id), _figures(would_be, row.id))
            for row in services
        ],
    )


@asynccontextmanager
async def _discarded(pool: Pool, by: Actor) -> AsyncIterator[Connection]:
    """A transaction with short timeouts that reads one snapshot and is rolled back. Raises 503 after a timeout."""
    try:
        async with database.live_connection(pool) as connection, connection.transaction(force_rollback=True):
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            await connection.execute(sql.query("sla/simulation"))
            await database.act_as(connection, by)
            yield connection
    except (QueryCanceled, LockNotAvailable):
        raise _too_slow() from None


def _too_slow() -> ApiError:
    return ApiError(503, "too_slow", headers={"Retry-After": "5"})


async def _change(connection: Connection, author: Principal, data: Simulation, first_day: date) -> Subjects:
    """Stores the changes. Returns what they are for; everything if there are none."""
    subjects: Subjects = []
    if data.policy is not None:
        with _within("policy"):
            await _replace_policy(connection, author, data.policy, first_day)
        subjects.append((data.policy.scope, data.policy.subject))
    for position, correction_id in enumerate(data.withdrawn):
        try:
            row = await corrections.withdraw_one(connection, author, correction_id)
        except ApiError as error:
            raise _unknown(error, f"withdrawn[{position}]") from None
        subjects.append((row.scope, row.subject))
    for position, correction in enumerate(data.corrections):
        with _within(f"corrections[{position}]"):
            await corrections.insert(connection, author, correction, position + 1)
        subjects.append((correction.scope, correction.subject))
    return subjects or [("everything", None)]


async def _replace_policy(connection: Connection, author: Principal, policy: NewPolicy, first_day: date) -> None:
    """Adds a version to the policy of the subject, which is created if there is none. Without `validFrom` it applies
    from the first day of the period."""
    terms = await checked_terms(connection, policy)
    terms["valid_from"] = policy.given().get("valid_from", first_day)
    subject = {"scope": policy.scope, "subject": policy.subject}
    newest = await (await connection.execute(sql.query("sla/newest_version"), subject)).fetchone()
    policy_id, version = newest or (await _value(connection, "sla/create_policy", **subject), 0)
    await add_version(connection, author, policy_id, version + 1, terms)


async def _services(connection: Connection, ids: Sequence[str] | None, subjects: Subjects) -> list[ServiceRow]:
    """The services of a simulation. Raises 400 for an unknown one, and for too many."""
    if ids is not None:
        await require_services(connection, ids, "services")
    scopes, names = [scope for scope, _ in subjects], [subject for _, subject in subjects]
    values = {"ids": ids and list(ids), "scopes": scopes, "subjects": names, "most": MAX_SERVICES + 1}
    async with connection.cursor(row_factory=class_row(ServiceRow)) as cursor:
        await cursor.execute(sql.query("sla/simulated_services"), values)
        found = await cursor.fetchall()
    if len(found) > MAX_SERVICES:
        raise invalid(FieldProblem.of("services", "too_many", most=MAX_SERVICES))
    return found


async def _levels(
    connection: Connection, services: Sequence[ServiceRow], days: tuple[date, date], later: int
) -> Levels:
    """The figures by service. `later`: the microseconds after now as of which they are computed."""
    values = {"service_ids": [row.id for row in services], "first_day": days[0], "last_day": days[1], "later": later}
    async with connection.cursor(row_factory=class_row(LevelRow)) as cursor:
        await cursor.execute(sql.query("sla/simulated_levels"), values)
        return {row.service_id: row for row in await cursor.fetchall()}


def _figures(levels: Levels, service_id: str) -> Figures | None:
    row = levels.get(service_id)
    return row.figures if row is not None else None


def _require_checks(services: Sequence[ServiceRow], levels: Sequence[LevelRow]) -> None:
    """Raises 400 if the period ended before the first check of all services."""
    first_checks = [row.first_check for row in services if row.first_check is not None]
    if levels and len(first_checks) == len(services):
        end = max(row.ends_at for row in levels)
        require_checked(Checked(min(first_checks), end), "period", end)


async def _value(connection: Connection, name: str, **values: Any) -> Any:
    """The only column of the only row."""
    row = await (await connection.execute(sql.query(name), values)).fetchone()
    assert row is not None
    return row[0]


@contextmanager
def _within(place: str) -> Iterator[None]:
    """Names the invalid fields of a part of the body."""
    try:
        yield
    except ApiError as error:
        if error.status != 400 or not error.details:
            raise
        details = [msgspec.structs.replace(one, field=f"{place}.{one.field}") for one in error.details]
        raise invalid(*details) from None


def _unknown(error: ApiError, field: str) -> ApiError:
    """The 400 for an unknown correction in the body. Other errors are returned unchanged."""
    return invalid(FieldProblem.of(field, "unknown_correction")) if error.status == 404 else error


router = Router("/api", route_handlers=[simulate], tags=["sla"])
