"""Reading the prober's metrics, which tell tests when something has happened."""

import anyio

from prober.metrics import Metrics

PATIENCE_S = 120.0


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"sla_prober_{name}", labels) or 0.0


async def reached(metrics: Metrics, name: str, count: float, **labels: str) -> None:
    with anyio.fail_after(PATIENCE_S):
        while value(metrics, name, **labels) < count:  # noqa: ASYNC110  # a count, not an event
            await anyio.sleep(0.01)
