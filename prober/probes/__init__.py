"""How services are checked: one module for each check type, with two functions.

    async def probe(service: Service, config: <its configuration>, deadline: float, engine: Engine) -> Outcome
    def judge(service: Service, config: <its configuration>, outcome: Outcome) -> Judgement

`deadline` is loop time; `probe` returns by then in any case. `ProberTrouble` means that there is no result.
"""

import asyncio
from importlib import import_module

from prober.judge import Judgement
from prober.outcome import Outcome, ProberTrouble
from prober.probes.curl import Engine
from prober.services import Service
from sla_monitor.checks import PROBED

__all__ = ["CHECK_TYPES", "Engine", "Outcome", "ProberTrouble", "run_check"]

CHECK_TYPES = {config: import_module(f"prober.probes.{name}") for name, config in PROBED.items()}
"""The module of each check type that is probed, by the class of its configuration."""

_PAUSE_SECONDS = 1.0


async def run_check(service: Service, engine: Engine) -> tuple[Outcome, Judgement, int]:
    """Makes one check: up to 1 + `retries` attempts, each with its own timeout. The first attempt that succeeds
    decides, or the last one.

    Returns the outcome that decided, its judgement and the number of attempts. After a failed attempt there is a pause
    of a second, or of a tenth of the interval if that is shorter. The longest check takes (1 + retries) * timeout_ms
    plus `retries` seconds. Raises `ProberTrouble`.
    """
    kind = CHECK_TYPES[type(service.check_config)]
    attempts = 0
    while True:
        attempts += 1
        deadline = engine.loop.time() + service.timeout_ms / 1000
        outcome: Outcome = await kind.probe(service, service.check_config, deadline, engine)
        judgement: Judgement = kind.judge(service, service.check_config, outcome)
        if judgement.success or attempts > service.retries:
            engine.inspection.note(service, outcome, engine.loop.time())
            return outcome, judgement, attempts
        del outcome  # frees the body
        await asyncio.sleep(min(_PAUSE_SECONDS, service.interval_seconds / 10))
