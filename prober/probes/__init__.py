"""How services are looked at: one module per check type, one function of one signature in each.

    async def probe(service: Service, deadline: float, engine: Engine) -> Outcome

`deadline` is the loop's time; nothing that a target does outlives it. `ProberTrouble` means nothing was seen.
"""

import asyncio
from collections.abc import Awaitable, Callable

from prober.judge import Judgement, judge
from prober.outcome import Outcome, ProberTrouble
from prober.probes import http
from prober.probes.curl import Engine
from prober.services import Service

__all__ = ["CHECK_TYPES", "Engine", "Outcome", "Probe", "ProberTrouble", "run_check"]

Probe = Callable[[Service, float, Engine], Awaitable[Outcome]]

CHECK_TYPES: dict[str, Probe] = {
    "http": http.probe,
}

_PAUSE_SECONDS = 1.0


async def run_check(service: Service, engine: Engine) -> tuple[Outcome, Judgement, int]:
    """One check: up to 1 + retries attempts, each with its own timeout; the first good or the last decides.

    Returns the deciding outcome, its judgement and the number of attempts. A failed attempt is followed by a
    pause of a second (a tenth of the interval where that is less), so that a hiccup has time to pass. The
    longest check lasts (1 + retries) * timeout_ms + retries seconds. Raises `ProberTrouble`.
    """
    probe = CHECK_TYPES[service.type]
    attempts = 0
    while True:
        attempts += 1
        outcome = await probe(service, engine.loop.time() + service.timeout_ms / 1000, engine)
        judgement = judge(service, outcome)
        if judgement.success or attempts > service.retries:
            engine.inspection.note(service, outcome, engine.loop.time())
            return outcome, judgement, attempts
        del outcome  # with a body that is no longer needed
        await asyncio.sleep(min(_PAUSE_SECONDS, service.interval_seconds / 10))
