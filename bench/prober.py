"""The prober: checks per CPU-second against blackbox_exporter and against bare libcurl, and its punctuality."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

import anyio
import trustme

from bench.children import PROGRAM, Child, free_port, peer, running
from bench.databases import Database
from bench.exposition import answers, grown, quantile, scrape
from bench.report import Line, absolute, compared, least, most, not_measured
from bench.run import Run, alternate, query, until
from bench.usage import cpu_seconds, rss_mib, spent

ADDRESSES = [f"127.0.0.{n}" for n in range(1, 9)]
"""Several, since each address of a target has ephemeral ports of its own."""
DELAY_MS = 10
WARM_UP_S = 2.0
LATE = "sla_prober_start_late_seconds"
STORED = 'sla_prober_rows_total{result="stored"}'


async def lines(run: Run) -> AsyncIterator[Line]:
    scale = run.scale
    for kind, services, factor in (("HTTP", scale.http_services, 3), ("TLS", scale.tls_services, 1)):
        async for line in _efficiency(run, kind, services, factor):
            yield line


async def _efficiency(run: Run, kind: str, services: int, factor: float) -> AsyncIterator[Line]:
    ca_file = certificate = None
    if kind == "TLS":
        ca_file, certificate = _certificates(run.folder)
    concurrency = max(1, round(services * DELAY_MS / 1000))
    seconds = run.scale.probe_seconds
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        _, target = await enter(
            peer("targets", run.folder, addresses=ADDRESSES, delay_ms=DELAY_MS, certificate=certificate)
        )
        scheme = "https" if ca_file else "http"
        bases = [f"{scheme}://{address}:{target['port']}/" for address in ADDRESSES]
        urls = [bases[n % len(bases)] + str(n) for n in range(1, services + 1)]
        database = await enter(run.databases.migrated())
        ours = _Prober(run, database, ca_file)
        await ours.set_services(services, bases, interval_seconds=1)
        bare, _ = await enter(peer("bare_curl", run.folder, urls=urls, concurrency=concurrency, ca_file=ca_file))
        contenders = [partial(ours.checks_per_cpu_second, services, seconds), partial(_bare_rate, bare, seconds)]
        blackbox = await enter(_blackbox(run.folder, urls, concurrency, ca_file))
        if blackbox is not None:
            contenders.append(partial(blackbox.probes_per_cpu_second, seconds))
        own, limit, *others = await alternate(run.scale.probe_rounds, *contenders)
    what = f"Prober, {kind}"
    note = f"good checks stored; {services:,} services a second, {concurrency} at once; {database.engine}"
    if worst := max(ours.failed_percent):
        note += f";\nup to {worst:.2g} % of the checks of a round failed and do not count: the machine is too busy"
    if others:
        yield compared(f"{what}: against blackbox_exporter", own, others[0], "/CPU s", least(factor), note=note)
        told = "the same with the database server's CPU added to ours"
        yield compared(f"{what}: with the database", ours.with_database, others[0], "/CPU s", note=told)
    else:
        yield not_measured(f"{what}: against blackbox_exporter", "apt-get install prometheus-blackbox-exporter")
    yield compared(
        f"{what}: against bare libcurl", own, limit, "/CPU s", least(0.5), note="pycurl's multi interface alone"
    )
    told = "the same with the database server's CPU added to ours"
    yield compared(f"{what}: against bare libcurl, with the database", ours.with_database, limit, "/CPU s", note=told)


class _Prober:
    """`sla-monitor prober` against a database, started anew for each measurement."""

    def __init__(self, run: Run, database: Database, ca_file: str | None = None) -> None:
        self._run = run
        self._database = database
        self._ca_file = ca_file
        self.with_database: list[float] = []
        self.failed_percent: list[float] = []

    async def set_services(self, count: int, urls: list[str], *, interval_seconds: int) -> None:
        async with await self._database.connect() as connection:
            values = {"count": count, "urls": urls, "interval_seconds": interval_seconds}
            await connection.execute(query("services"), values)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[Child, int]]:
        """The process and the port of its metrics."""
        port = free_port()
        environment = {
            "DATABASE_URL": self._database.url,
            "SLA_MONITOR_HOME": str(self._run.folder / f"home-{port}"),
            "WATCH_SERVER_PORT": str(port),
            "LOG_LEVEL": "warning",
            **({"SSL_CERT_FILE": self._ca_file} if self._ca_file else {}),
        }
        async with running([*PROGRAM, "prober"], self._run.folder, environment) as child:
            await until(partial(answers, port), "the prober's /metrics")
            yield child, port

    async def checks_per_cpu_second(self, services: int, seconds: float) -> float:
        async with self.running() as (child, port):
            await until(partial(_stored, port, services), "the first round of checks")
            await anyio.sleep(WARM_UP_S)
            before, cpu, server = await scrape(port), cpu_seconds(child.pid), self._server_cpu()
            await anyio.sleep(seconds)
            used, served = spent(child.pid, cpu), self._server_cpu() - server
            after = await scrape(port)
        stored, bad = grown(before, after, STORED), grown(before, after, 'sla_prober_checks_total{severity="mo"}')
        good = stored - bad
        assert good > 0, f"all of {stored:.0f} checks failed"
        self.failed_percent.append(100 * bad / stored)
        self.with_database.append(good / (used + served))
        return good / used

    def _server_cpu(self) -> float:
        return cpu_seconds(self._database.server_pid) if self._database.server_pid else float("nan")


async def _stored(port: int, rows: int) -> bool:
    return (await scrape(port)).get(STORED, 0) >= rows


async def _bare_rate(bare: Child, seconds: float) -> float:
    told = await bare.ask(seconds=seconds)
    return float(told["checks"] / told["cpu"])  # the good ones


class _Blackbox:
    def __init__(self, process: Child, client: Child) -> None:
        self._process = process
        self._client = client

    async def probes_per_cpu_second(self, seconds: float) -> float:
        cpu = cpu_seconds(self._process.pid)
        told = await self._client.ask(seconds=seconds)
        assert not told["lost"], told
        return float(told["done"] / spent(self._process.pid, cpu))


@asynccontextmanager
async def _blackbox(
    folder: Path, urls: list[str], concurrency: int, ca_file: str | None
) -> AsyncIterator[_Blackbox | None]:
    """Debian's blackbox_exporter, answering /probe to a client of ours; None where it is not installed."""
    program = shutil.which("prometheus-blackbox-exporter") or shutil.which("blackbox_exporter")
    if program is None:
        yield None
        return
    tls = {"tls_config": {"ca_file": ca_file}} if ca_file else {}
    module = {"prober": "http", "timeout": "7s", "http": {"preferred_ip_protocol": "ip4", **tls}}
    config = folder / f"blackbox-{'tls' if ca_file else 'http'}.yml"
    config.write_text(json.dumps({"modules": {"http_2xx": module}}))  # JSON is YAML
    port = free_port()
    command = [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    async with running(command, folder) as process:
        await until(partial(answers, port), "blackbox_exporter")
        paths = [f"/probe?module=http_2xx&target={quote(url, safe='')}" for url in urls]
        load = peer(
            "http_load",
            folder,
            host="127.0.0.1",
            port=port,
            paths=paths,
            concurrency=concurrency,
            expect="probe_success 1",
        )
        async with load as (client, _):
            yield _Blackbox(process, client)


async def punctuality(run: Run) -> AsyncIterator[Line]:
    """Ten thousand services each minute from one process: how late they start, how many not at all, in what memory."""
    services = run.scale.punctual_services
    interval = max(1, round(run.scale.punctual_seconds - 1)) if run.scale.punctual_seconds < 60 else 60
    target = peer("targets", run.folder, addresses=ADDRESSES, delay_ms=DELAY_MS, certificate=None)
    async with target as (_, told), run.databases.migrated() as database:
        prober = _Prober(run, database)
        bases = [f"http://{address}:{told['port']}/" for address in ADDRESSES]
        await prober.set_services(services, bases, interval_seconds=interval)
        async with prober.running() as (child, port):
            await until(partial(_stored, port, 1), "the first checks")
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


def _certificates(folder: Path) -> tuple[str, str]:
    """The files of an authority, and of a key with a certificate by it for all addresses."""
    authority = trustme.CA()
    ca_file, certificate = folder / "ca.pem", folder / "target.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert(*ADDRESSES).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return str(ca_file), str(certificate)
