"""A check's whole way, probed, recorded, aggregated, compressed: against blackbox_exporter, which stores nothing."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from statistics import median

from bench.aggregates import NO_CPU
from bench.probing import ADDRESSES, NO_BLACKBOX, Prober, blackbox, concurrency, targets
from bench.report import Line, compared, least, not_measured
from bench.run import Run, alternate
from bench.steady import Steady, steady

FACTOR = 4


async def lines(run: Run) -> AsyncIterator[Line]:
    services, seconds = run.scale.http_services, run.scale.probe_seconds
    what = "Pipeline, HTTP: against blackbox_exporter"
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        _, target = await enter(targets(run.folder))
        bases = [f"http://{address}:{target['port']}/" for address in ADDRESSES]
        urls = [bases[n % len(bases)] + str(n) for n in range(1, services + 1)]
        peer = await enter(blackbox(run.folder, urls, concurrency(services), None))
        if peer is None:
            yield not_measured(what, NO_BLACKBOX)
            return
        database = await enter(run.databases.migrated())
        prober = Prober(run, database)
        await prober.set_services(services, bases, interval_seconds=1)
        contenders = (
            partial(prober.checks_per_cpu_second, services, seconds),
            partial(peer.probes_per_cpu_second, seconds),
        )
        alone, theirs = await alternate(run.scale.probe_rounds, *contenders)
    kept = await steady(run, database.engine)
    if kept is None:
        yield not_measured(what, NO_CPU)
        return
    after_us = median(kept.refresh_us) + (kept.compress_us or 0)
    own = [1e6 / (1e6 / rate + after_us) for rate in prober.with_database]
    yield compared(
        what, own, theirs, "/CPU s", least(FACTOR), note=_parts(alone, prober.with_database, kept, database.engine)
    )


def _parts(alone: list[float], with_database: list[float], kept: Steady, engine: str) -> str:
    """What the CPU of a check is made of, in microseconds."""
    probing = median(1e6 / rate for rate in alone)
    recording = median(1e6 / rate for rate in with_database) - probing
    compressing = f"{kept.compress_us:.3g} compressing" if kept.compress_us is not None else "nothing compressed"
    return (
        f"a new connection each; {engine}; us of CPU a good check, a sum of parts: {probing:.0f} prober"
        f" + {recording:.0f} database, measured while probing;\n+ {median(kept.refresh_us):.3g} refresh"
        f" + {compressing}, measured by the group aggregates: {kept.services:,} services a minute"
    )
