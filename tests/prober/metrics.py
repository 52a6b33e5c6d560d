"""Reads the prober's metrics within the process."""

import anyio

from prober.metrics import Metrics
from tests.pauses import pauses

TIMEOUT_S = 120.0


def metric(metrics: Metrics, name: str, **labels: str) -> float:
    """A sample, by its name without the prefix `sla_prober_`; 0 if it does not exist yet."""
    return metrics.registry.get_sample_value(f"sla_prober_{name}", labels) or 0.0


async def wait_for_metric(metrics: Metrics, name: str, at_least: float, **labels: str) -> None:
    with anyio.fail_after(TIMEOUT_S):
        for pause_s in pauses():
            if metric(metrics, name, **labels) >= at_least:
                return
            await anyio.sleep(pause_s)
