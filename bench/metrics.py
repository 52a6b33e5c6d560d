"""Reads the metrics of the product's processes, in the text format of Prometheus."""

import re
from collections.abc import Mapping

import anyio
import httpx

_SAMPLE = re.compile(r"^(\S+?)(\{.*\})? (\S+)$", re.MULTILINE)


async def scrape(port: int) -> dict[str, float]:
    """The samples of the process at a port of loopback. A key is the name with the labels, as in the response."""
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    return {name + labels: float(value) for name, labels, value in _SAMPLE.findall(text) if not name.startswith("#")}


async def accepts_connections(port: int) -> bool:
    """Whether a process listens at this port of loopback."""
    try:
        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


def total(samples: Mapping[str, float], name: str) -> float:
    """The sum of the samples of a metric. `name` may include labels; a name without labels means all of them.

    Raises LookupError if there is no sample: a metric that was renamed must not count as zero.
    """
    found = [value for key, value in samples.items() if key == name or key.startswith(f"{name}{{")]
    if not found:
        raise LookupError(f"there is no metric {name}")
    return sum(found)


def increase(before: Mapping[str, float], after: Mapping[str, float], name: str) -> float:
    """The difference of `total` between two scrapes."""
    return total(after, name) - total(before, name)


def quantile(before: Mapping[str, float], after: Mapping[str, float], histogram: str, share: float) -> float:
    """The quantile (0 to 1) of the observations between two scrapes: the upper edge of the bucket that holds it."""
    observations = increase(before, after, f"{histogram}_count")
    buckets = []
    for key, value in after.items():
        if key.startswith(f"{histogram}_bucket{{"):
            edge = float(key.partition('le="')[2].partition('"')[0])
            buckets.append((edge, value - before.get(key, 0.0)))
    return next((edge for edge, count in sorted(buckets) if count >= share * observations), float("inf"))
