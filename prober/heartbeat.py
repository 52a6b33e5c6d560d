"""The dead man's switch: HEARTBEAT_URL is called after each minute in which checks were stored. The calls stop if the
prober ends, hangs, or can only write to the spool."""

import logging
from collections.abc import Callable

import anyio

from prober.dispatch import CheckRunner
from prober.metrics import Metrics
from prober.outcome import ProberTrouble, printable
from prober.services import Service
from sla_monitor.checks.http import Http

CYCLE_SECONDS = 60.0
TIMEOUT_MS = 10_000

_log = logging.getLogger(__name__)


async def beat(url: str, run_check: CheckRunner, stored: Callable[[], int], metrics: Metrics) -> None:
    """Runs until cancelled. `stored` returns the number of checks stored so far. A failed call is counted and
    logged."""
    config = Http(endpoint_url=url, expected_status_codes=tuple(range(200, 300)))
    target = Service(id="heartbeat", check_config=config, timeout_ms=TIMEOUT_MS)
    before = stored()
    while True:
        await anyio.sleep(CYCLE_SECONDS)
        now = stored()
        if now == before:
            continue
        before = now
        metrics.heartbeats.inc()
        try:
            _, judgement, _ = await run_check(target)
            failure = judgement.error_message
        except ProberTrouble as trouble:
            failure = printable(str(trouble))
        if failure is not None:
            metrics.heartbeat_failures.inc()
            _log.warning("the call of HEARTBEAT_URL failed: %s", failure)
