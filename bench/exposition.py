"""Reading the product's own metrics, in Prometheus' text format, over one short HTTP request."""

import re
from collections.abc import Mapping

import anyio
import httpx

_SAMPLE = re.compile(r"^(\S+?)(\{.*\})? (\S+)$", re.MULTILINE)


async def scrape(port: int) -> dict[str, float]:
    """Every sample of a process on loopback, by its name with its labels as written."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return {name + labels: float(value) for name, labels, value in _SAMPLE.findall(text) if not name.startswith("#")}


async def answers(port: int) -> bool:
    """Whether anything listens there yet."""
    try:
        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


def total(samples: Mapping[str, float], name: str) -> float:
    """The sum of a metric's samples over the labels that `name` does not say. Raises LookupError where there is none:
    a name that has changed must not read as zero."""
    found = [value for key, value in samples.items() if key == name or key.startswith(f"{name}{{")]
    if not found:
        raise LookupError(f"there is no metric {name}")
    return sum(found)


def grown(before: Mapping[str, float], after: Mapping[str, float], name: str) -> float:
    """What was added to a metric, over all labels that `name` does not say."""
    return total(after, name) - total(before, name)


def quantile(before: Mapping[str, float], after: Mapping[str, float], histogram: str, share: float) -> float:
    """The upper edge of the bucket that holds the quantile of what was observed between the two."""
    observed = grown(before, after, f"{histogram}_count")
    edges = []
    for key, value in after.items():
        if key.startswith(f"{histogram}_bucket{{"):
            edge = float(key.partition('le="')[2].partition('"')[0])
            edges.append((edge, value - before.get(key, 0.0)))
    return next((edge for edge, count in sorted(edges) if count >= share * observed), float("inf"))
