"""The prober: checks per CPU-second against blackbox_exporter and against bare libcurl, and its punctuality."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

import anyio

from bench.children import peer
from bench.exposition import grown, quantile, scrape
from bench.probing import (
    ADDRESSES,
    NO_BLACKBOX,
    Prober,
    bare_rate,
    blackbox,
    certificates,
    concurrency,
    stored,
    targets,
)
from bench.report import Line, absolute, compared, least, most, not_measured
from bench.run import Run, alternate, until
from bench.usage import cpu_seconds, rss_mib, spent

LATE = "sla_prober_start_late_seconds"
PEER_FACTORS = {"HTTP": 4.0, "TLS": 1.4}
LIMIT_FACTORS = {"HTTP": 0.65, "TLS": 0.9}


async def lines(run: Run) -> AsyncIterator[Line]:
    for kind, services in (("HTTP", run.scale.http_services), ("TLS", run.scale.tls_services)):
        async for line in _efficiency(run, kind, services):
            yield line


async def _efficiency(run: Run, kind: str, services: int) -> AsyncIterator[Line]:
    ca_file = certificate = None
    if kind == "TLS":
        ca_file, certificate = certificates(run.folder)
    at_once = concurrency(services)
    seconds = run.scale.probe_seconds
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        _, target = await enter(targets(run.folder, certificate))
        scheme = "https" if ca_file else "http"
        bases = [f"{scheme}://{address}:{target['port']}/" for address in ADDRESSES]
        urls = [bases[n % len(bases)] + str(n) for n in range(1, services + 1)]
        database = await enter(run.databases.migrated())
        ours = Prober(run, database, ca_file)
        await ours.set_services(services, bases, interval_seconds=1)
        bare, _ = await enter(peer("bare_curl", run.folder, urls=urls, concurrency=at_once, ca_file=ca_file))
        contenders = [partial(ours.checks_per_cpu_second, services, seconds), partial(bare_rate, bare, seconds)]
        other = await enter(blackbox(run.folder, urls, at_once, ca_file))
        if other is not None:
            contenders.append(partial(other.probes_per_cpu_second, seconds))
        own, limit, *others = await alternate(run.scale.probe_rounds, *contenders)
    what = f"Prober, {kind}"
    note = f"good checks stored; {services:,} services a second, {at_once} at once; {database.engine}"
    if worst := max(ours.failed_percent):
        note += f";\nup to {worst:.2g} % of the checks of a round failed and do not count: the machine is too busy"
    added = "the same with the database server's CPU added to ours"
    if others:
        yield compared(f"{what}: against blackbox_exporter", own, others[0], "/CPU s", note=note)
        bound = least(PEER_FACTORS[kind])
        yield compared(f"{what}: with the database", ours.with_database, others[0], "/CPU s", bound, note=added)
    else:
        yield not_measured(f"{what}: against blackbox_exporter", NO_BLACKBOX)
    bound = least(LIMIT_FACTORS[kind])
    alone = "pycurl's multi interface alone"
    yield compared(f"{what}: against bare libcurl", own, limit, "/CPU s", bound, note=alone)
    yield compared(f"{what}: against bare libcurl, with the database", ours.with_database, limit, "/CPU s", note=added)


async def punctuality(run: Run) -> AsyncIterator[Line]:
    """Ten thousand services each minute from one process: how late they start, how many not at all, in what memory."""
    services = run.scale.punctual_services
    interval = max(1, round(run.scale.punctual_seconds - 1)) if run.scale.punctual_seconds < 60 else 60
    async with targets(run.folder) as (_, reported), run.databases.migrated() as database:
        prober = Prober(run, database)
        bases = [f"http://{address}:{reported['port']}/" for address in ADDRESSES]
        await prober.set_services(services, bases, interval_seconds=interval)
        async with prober.running() as (child, port):
            await until(partial(stored, port, 1), "the first checks")
            await anyio.sleep(min(5.0, run.scale.punctual_seconds))
            before, cpu = await scrape(port), cpu_seconds(child.pid)
            await anyio.sleep(run.scale.punctual_seconds)
            used, after = spent(child.pid, cpu), await scrape(port)
            memory = rss_mib(child.pid)
    started = grown(before, after, f"{LATE}_count")
    missed = grown(before, after, "sla_prober_missed_slots_total") + grown(
        before, after, "sla_prober_skipped_slots_total"
    )
    p99 = 1000 * quantile(before, after, LATE, 0.99)
    what = f"Punctuality, {services:,} services each {interval} s"
    mean = 1000 * grown(before, after, f"{LATE}_sum") / max(1.0, started)
    note = f"{started:,.0f} starts, {mean:.2f} ms late on average; the p99 is the edge of its bucket"
    yield absolute(f"{what}: start lateness, p99", [p99], "ms", most(50, "ms"), note=note)
    share = 100 * used / run.scale.punctual_seconds
    yield absolute(
        f"{what}: slots missed", [missed], "", most(0, ""), note=f"the prober takes {share:.0f} % of one core"
    )
    yield absolute(f"Memory: prober of {services:,} services", [memory], "MiB", most(120, "MiB"))
