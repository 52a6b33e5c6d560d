"""What a policy or a correction would change, by the function behind POST /api/sla/simulate. Shown before a change."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from api.auth.gatekeeper import actor
from api.auth.requests import ApiRequest, principal_of
from api.pages.problems import Problem
from api.pages.sla_periods import Period, chosen
from api.rest.errors import ApiError
from api.sla.level_rows import Verdict
from api.sla.simulate import Figures, SimulatedService, Simulation, simulated
from sql import Pool

SHOWN = 10
"""The number of services that are listed."""
TIMEOUT = 503


class Transition(NamedTuple):
    """The number of services whose verdict changes in this way; None without a verdict or a policy."""

    before: Verdict | None
    after: Verdict | None
    services: int


class Preview(NamedTuple):
    """`services`: the first `SHOWN` services whose figures would change, of which there are `changed`, of `total`.
    `problem`: why there are no figures; the other fields are empty then."""

    period: Period | None
    services: Sequence[SimulatedService] = ()
    changed: int = 0
    total: int = 0
    transitions: Sequence[Transition] = ()
    problem: Problem | None = None
    is_slow: bool = False


INVALID = Preview(None)
"""For a form with problems."""


async def preview(request: ApiRequest, pool: Pool, data: Simulation, today: date) -> Preview:
    """The preview of `data`, whose period must be given. An error of the simulation becomes part of it."""
    assert data.period is not None
    period = chosen(data.period, today)
    try:
        answer = await simulated(pool, principal_of(request), actor(request), data)
    except ApiError as error:
        if error.status == TIMEOUT:
            return Preview(period, is_slow=True)
        if error.status not in (400, 409):
            raise
        return Preview(period, problem=error.details[0] if error.details else error)
    changed = [one for one in answer.services if _figures(one.current) != _figures(one.simulated)]
    verdicts = Counter((_verdict(one.current), _verdict(one.simulated)) for one in changed)
    transitions = [Transition(*pair, count) for pair, count in verdicts.most_common() if pair[0] != pair[1]]
    return Preview(period, changed[:SHOWN], len(changed), len(answer.services), transitions)


def _figures(level: Figures | None) -> object:
    """What is compared: everything but the policy."""
    return level and (level.uptime, level.verdict, level.budget_seconds, level.left_seconds, level.policy.target)


def _verdict(level: Figures | None) -> Verdict | None:
    return level.verdict if level is not None else None
