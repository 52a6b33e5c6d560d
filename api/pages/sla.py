"""/sla: the uptime of every public service and group in a period against the target of its SLA policy."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlencode

import msgspec
from litestar import Router, get
from litestar.params import QueryParameter
from litestar.response import Template

from api.auth.permissions import shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.pages.site import page, page_texts
from api.pages.sla_periods import KINDS, Period, chosen
from api.rest.errors import invalid
from api.rest.injected import Injected
from api.rest.problems import FieldProblem
from api.sla.level_rows import Verdict
from api.sla.policy_terms import Length
from sql import Pool, database

CACHEABLE = (Cacheable("/sla", frozenset({"checks", "services"}), frozenset({"period", "sort"}), page=True),)
MAX_OPEN = 100
"""With more services, only groups with a service that misses its target are open, and no more than have this number of
services together."""
FILTERED_FROM = 16
"""The number of services from which on the list has a filter."""
Chosen = Annotated[str, QueryParameter(name="period", max_length=7)]
Sort = Annotated[str, QueryParameter(name="sort", max_length=20)]


class LevelRow(msgspec.Struct):
    """A row of sla_page/levels. `uptime`: in percent with two decimals, "-" without data. `target` is None for a
    service without a policy. Seconds are None where they are not known."""

    kind: Literal["all", "group", "service"]
    id: str | None
    name: str | None
    group_name: str | None
    services: int
    method: Literal["worst", "mean"] | None
    agreed: Length | None
    rolling_days: int | None
    target: float | None
    uptime: str
    coverage: float | None
    verdict: Verdict | None
    estimated: bool
    outages: int | None
    down_seconds: float | None
    budget_seconds: float | None
    left_seconds: float | None

    @property
    def known(self) -> str | None:
        """The coverage in percent with two decimals, rounded down; None for full coverage."""
        return None if self.coverage is None or self.coverage >= 100 else f"{int(self.coverage * 100) / 100:.2f}"

    @property
    def share(self) -> float | None:
        """The part of the error budget that is left, at least 0; None without a budget."""
        if not self.budget_seconds or self.left_seconds is None:
            return None
        return min(max(self.left_seconds / self.budget_seconds, 0), 1)


class Group(NamedTuple):
    """A group of services. `name` is None for services without a group; `level` is None where it has no figures."""

    name: str | None
    level: LevelRow | None
    services: list[LevelRow]
    missed: int
    open: bool


VERDICTS: tuple[Verdict | None, ...] = ("missed", "insufficient_data", "met", None)
"""In the order of the sort `verdict`."""
SORTS: Mapping[str, Callable[[LevelRow], Any]] = {
    "name": lambda row: (row.name or "").casefold(),
    "target": lambda row: row.target and -row.target,
    "uptime": lambda row: None if row.uptime == "-" else float(row.uptime),
    "verdict": lambda row: VERDICTS.index(row.verdict),
    "downtime": lambda row: row.down_seconds and -row.down_seconds,
    "budget": lambda row: row.left_seconds,
}
"""The key of each sort, None where it is not known. The worst comes first."""


def groups(rows: Sequence[LevelRow], sort: str) -> list[Group]:
    """The groups of the services that have a policy. With another sort than `name`, groups come in the order of their
    first service, and their services in that of the sort; with `-` before it, in the reverse order."""
    levels = {row.group_name: row for row in rows if row.kind == "group"}
    listed = [row for row in rows if row.kind == "service" and row.target is not None]
    many = len(listed) > MAX_OPEN
    members = [(name, in_order(each, sort)) for name, each in groupby(listed, key=lambda row: row.group_name)]
    if sort != "name":
        first = {row.id: place for place, row in enumerate(in_order(listed, sort))}
        members.sort(key=lambda group: first[group[1][0].id])
    found, left = [], MAX_OPEN
    for name, services in members:
        missed = sum(row.verdict == "missed" for row in services)
        is_open = not many or (missed > 0 and len(services) <= left)
        left -= len(services) if is_open else 0
        found.append(Group(name, levels.get(name), services, missed, is_open))
    return found


def in_order(rows: Iterable[LevelRow], sort: str) -> list[LevelRow]:
    """The services by a sort of `SORTS`, and by name where it is equal. Those without a key come last."""
    key = SORTS[sort.removeprefix("-")]
    by_name = sorted(rows, key=SORTS["name"])
    known = sorted((row for row in by_name if key(row) is not None), key=key, reverse=sort.startswith("-"))
    return [*known, *(row for row in by_name if key(row) is None)]


class Addresses:
    """The links of the page: each keeps what it does not choose."""

    def __init__(self, period: Period, current: Period, sort: str) -> None:
        self._period = period
        self._current = current
        self._sort = sort

    @property
    def canonical(self) -> str:
        """The address of the period in the usual order."""
        return self._address(self._period, "name")

    def of_period(self, period: Period) -> str:
        return self._address(period, self._sort)

    def of_sort(self, name: str) -> str:
        """The address of a sort; of the chosen one, that of its reverse."""
        return self._address(self._period, f"-{name}" if self._sort == name else name)

    def _address(self, period: Period, sort: str) -> str:
        query = {}
        if period != self._current:
            query["period"] = period.text
        if sort != "name":
            query["sort"] = sort
        return "/sla" + (f"?{urlencode(query)}" if query else "")


def verdicts(rows: Sequence[LevelRow]) -> Counter[Verdict | None]:
    """The number of services with a policy by their verdict."""
    return Counter(row.verdict for row in rows if row.kind == "service" and row.target is not None)


@get("/sla", **shown_to("status:read"))
async def levels_page(
    request: ApiRequest, pool: Injected[Pool], period_text: Chosen = "", sort: Sort = "name"
) -> Template:
    """`period`: 2026-10, 2026-Q4 or 2026, by default the current month. `sort`: a name of `SORTS`; with `-` before it,
    the reverse."""
    if sort.removeprefix("-") not in SORTS or sort.startswith("--"):
        raise invalid(FieldProblem.of("sort", "choice", choices=list(SORTS)))
    today = (await page_texts(request)).local(datetime.now(UTC)).date()
    period = chosen(period_text, today)
    rows = await database.rows(pool, "sla_page/levels", LevelRow, first_day=period.first, last_day=period.last)
    counted = verdicts(rows)
    return await page(
        request,
        "sla.html",
        period=period,
        running=period.last >= today,
        earlier=period.earlier() if any(row.uptime != "-" for row in rows) or period.last >= today else None,
        later=period.later(today),
        kinds=[(kind, period.of_kind(kind, today)) for kind in KINDS],
        addresses=Addresses(period, chosen("", today), sort),
        sort=sort,
        sorts=list(SORTS),
        all=next((row for row in rows if row.kind == "all"), None),
        groups=groups(rows, sort),
        counted=counted,
        total=counted.total(),
        filtered=counted.total() >= FILTERED_FROM,
        many=counted.total() > MAX_OPEN,
        without=sum(row.kind == "service" and row.target is None for row in rows),
        estimated=any(row.estimated for row in rows),
    )


router = Router("/", route_handlers=[levels_page], include_in_schema=False)
