"""The CPU time of a check that is probed, recorded, aggregated and compressed, compared with blackbox_exporter, which
stores nothing."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from statistics import median

from bench.groups.aggregates import CPU_UNKNOWN
from bench.probers import (
    NO_BLACKBOX_EXPORTER,
    Prober,
    base_urls,
    concurrency,
    running_blackbox_exporter,
    running_target,
    service_urls,
)
from bench.report import Result, at_least, comparison, not_measured
from bench.rollup_costs import rollup_costs
from bench.run import RollupCosts, Run, alternate

TARGET = at_least(4)


async def measure(run: Run) -> AsyncIterator[Result]:
    services, seconds = run.scale.http_services, run.scale.probe_seconds
    title = "Pipeline, HTTP: vs blackbox_exporter"
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        _, target = await enter(running_target(run.folder))
        bases = base_urls(target["port"])
        urls = service_urls(bases, services)
        blackbox = await enter(running_blackbox_exporter(run.folder, urls, concurrency(services), None))
        if blackbox is None:
            yield not_measured(title, NO_BLACKBOX_EXPORTER)
            return
        database = await enter(run.databases.migrated())
        prober = Prober(run, database)
        await prober.create_services(services, bases, interval_seconds=1)
        prober_only, reference = await alternate(
            run.scale.probe_rounds,
            partial(prober.checks_per_cpu_second, services, seconds),
            partial(blackbox.probes_per_cpu_second, seconds),
        )
    costs = await rollup_costs(run, database.engine)
    if costs is None:
        yield not_measured(title, CPU_UNKNOWN)
        return
    after_recording_us = median(costs.refresh_us) + (costs.compress_us or 0)
    measured = [1e6 / (1e6 / rate + after_recording_us) for rate in prober.with_database]
    note = _parts(prober_only, prober.with_database, costs, database.engine)
    yield comparison(title, measured, reference, "/CPU s", TARGET, note=note)


def _parts(prober_only: list[float], with_database: list[float], costs: RollupCosts, engine: str) -> str:
    """The parts of the CPU time of a check, in microseconds."""
    probe_us = median(1e6 / rate for rate in prober_only)
    record_us = median(1e6 / rate for rate in with_database) - probe_us
    compress = f"{costs.compress_us:.3g} compression" if costs.compress_us is not None else "no compression"
    return (
        f"new connection for each check; {engine}; the CPU time of a check is the sum of {probe_us:.0f} us prober"
        f" + {record_us:.0f} database;\n+ {median(costs.refresh_us):.3g} refresh + {compress}, both measured as in the"
        f" group aggregates, with {costs.services:,} checks a minute"
    )
