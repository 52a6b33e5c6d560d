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


def grown(before: Mapping[str, float], after: Mapping[str, float], name: str) -> float:
    """What was added to the samples whose name begins so."""
    return sum(value - before.get(key, 0.0) for key, value in after.items() if key.startswith(name))


def quantile(before: Mapping[str, float], after: Mapping[str, float], histogram: str, share: float) -> float:
    """The upper edge of the bucket that holds the quantile of what was observed between the two."""
    total = grown(before, after, f"{histogram}_count")
    edges = []
    for key, value in after.items():
        if key.startswith(f"{histogram}_bucket"):
            edge = float(key.partition('le="')[2].partition('"')[0])
            edges.append((edge, value - before.get(key, 0.0)))
    return next((edge for edge, count in sorted(edges) if count >= share * total), float("inf"))
