"""The prober's checks per CPU second, compared with blackbox_exporter and with bare libcurl, and its punctuality."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

import anyio

from bench.metrics import increase, quantile, scrape
from bench.probers import (
    NO_BLACKBOX_EXPORTER,
    Prober,
    base_urls,
    concurrency,
    create_certificates,
    has_stored,
    libcurl_checks_per_cpu_second,
    running_blackbox_exporter,
    running_target,
    service_urls,
)
from bench.processes import running_program
from bench.report import Result, at_least, at_most, comparison, figure, not_measured
from bench.run import Run, alternate, wait_until
from bench.usage import cpu_seconds, cpu_seconds_since, memory_mib

LATENESS = "sla_prober_start_late_seconds"
NOT_STARTED = ("sla_prober_missed_slots_total", "sla_prober_skipped_slots_total")
BLACKBOX_TARGETS = {"HTTP": at_least(4.0), "TLS": at_least(1.4)}
LIBCURL_TARGETS = {"HTTP": at_least(0.65), "TLS": at_least(0.9)}


async def measure(run: Run) -> AsyncIterator[Result]:
    for kind, services in (("HTTP", run.scale.http_services), ("TLS", run.scale.tls_services)):
        for result in await _measure_efficiency(run, kind, services):
            yield result


async def _measure_efficiency(run: Run, kind: str, services: int) -> list[Result]:
    """Compares the product with the references. The product probes each service once a second."""
    ca_file, certificate = create_certificates(run.folder) if kind == "TLS" else (None, None)
    at_once, seconds = concurrency(services), run.scale.probe_seconds
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        _, target = await enter(running_target(run.folder, certificate))
        bases = base_urls(target["port"], "https" if ca_file else "http")
        urls = service_urls(bases, services)
        database = await enter(run.databases.migrated())
        product = Prober(run, database, ca_file)
        await product.create_services(services, bases, interval_seconds=1)
        arguments = {"urls": urls, "concurrency": at_once, "ca_file": ca_file}
        libcurl, _ = await enter(running_program("libcurl", run.folder, **arguments))
        measurements = [
            partial(product.checks_per_cpu_second, services, seconds),
            partial(libcurl_checks_per_cpu_second, libcurl, seconds),
        ]
        blackbox = await enter(running_blackbox_exporter(run.folder, urls, at_once, ca_file))
        if blackbox is not None:
            measurements.append(partial(blackbox.probes_per_cpu_second, seconds))
        prober_only, limit, *others = await alternate(run.scale.probe_rounds, *measurements)
    note = f"successful checks that were stored; {services:,} services, {at_once} probes at once; {database.engine}"
    if worst := max(product.failed_percent):
        note += f";\nin a round up to {worst:.2g} % of the checks failed and are not counted: the machine is overloaded"
    return _results(kind, prober_only, product.with_database, limit, others[0] if others else None, note)


def _results(
    kind: str,
    prober_only: list[float],
    with_database: list[float],
    libcurl: list[float],
    blackbox: list[float] | None,
    note: str,
) -> list[Result]:
    unit = "/CPU s"
    alone, both = f"Prober, {kind}: prober only", f"Prober, {kind}: prober and database"
    note_both = "CPU time of the prober and of the database server"
    if blackbox is None:
        against_blackbox = [not_measured(f"{alone}, vs blackbox_exporter", NO_BLACKBOX_EXPORTER)]
    else:
        target, other = BLACKBOX_TARGETS[kind], "vs blackbox_exporter"
        against_blackbox = [
            comparison(f"{alone}, {other}", prober_only, blackbox, unit, note=note),
            comparison(f"{both}, {other}", with_database, blackbox, unit, target, note=note_both),
        ]
    target, other, note_libcurl = LIBCURL_TARGETS[kind], "vs bare libcurl", "pycurl's multi interface only"
    return [
        *against_blackbox,
        comparison(f"{alone}, {other}", prober_only, libcurl, unit, target, note=note_libcurl),
        comparison(f"{both}, {other}", with_database, libcurl, unit, note=note_both),
    ]


async def measure_punctuality(run: Run) -> AsyncIterator[Result]:
    """One prober with many services: the lateness of its checks, the checks it does not start, and its memory."""
    services, seconds = run.scale.punctuality_services, run.scale.punctuality_seconds
    interval = max(1, round(seconds - 1)) if seconds < 60 else 60
    async with running_target(run.folder) as (_, target), run.databases.migrated() as database:
        prober = Prober(run, database)
        await prober.create_services(services, base_urls(target["port"]), interval_seconds=interval)
        async with prober.running() as (child, port):
            await wait_until(partial(has_stored, port, 1), "the first checks")
            await anyio.sleep(min(5.0, seconds))
            before, cpu = await scrape(port), cpu_seconds(child.pid)
            await anyio.sleep(seconds)
            cpu, after = cpu_seconds_since(child.pid, cpu), await scrape(port)
            memory = memory_mib(child.pid)
    started = increase(before, after, f"{LATENESS}_count")
    not_started = sum(increase(before, after, name) for name in NOT_STARTED)
    p99 = 1000 * quantile(before, after, LATENESS, 0.99)
    mean = 1000 * increase(before, after, f"{LATENESS}_sum") / max(1.0, started)
    title = f"Punctuality, {services:,} services every {interval} s"
    note = f"{started:,.0f} checks, on average {mean:.2f} ms late; the p99 is the upper edge of its histogram bucket"
    yield figure(f"{title}: start lateness, p99", [p99], "ms", at_most(50, "ms"), note=note)
    note_cpu = f"the prober uses {100 * cpu / seconds:.0f} % of one core"
    yield figure(f"{title}: checks not started", [not_started], "", at_most(0, ""), note=note_cpu)
    yield figure(f"Memory: prober with {services:,} services", [memory], "MiB", at_most(120, "MiB"))
