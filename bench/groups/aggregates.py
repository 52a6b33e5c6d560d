"""The cost of aggregating a raw row, and the time to record a late row."""

from collections.abc import AsyncIterator

from bench.report import Result, at_most, figure, not_measured
from bench.rollup_costs import LATE_BY, rollup_costs
from bench.run import RollupCosts, Run

ENGINE_WITH_TARGETS = "timescaledb"
CPU_UNKNOWN = "the benchmark did not start the server and cannot read its CPU time"


async def measure(run: Run) -> AsyncIterator[Result]:
    if ENGINE_WITH_TARGETS not in run.databases.engines:
        yield not_measured(f"Aggregates, {ENGINE_WITH_TARGETS}", "TimescaleDB is not installed")
    for engine in run.databases.engines:
        costs = await rollup_costs(run, engine)
        if costs is None:
            yield not_measured(f"Aggregates, {engine}", CPU_UNKNOWN)
            continue
        for result in _results(run, engine, costs):
            yield result


def _results(run: Run, engine: str, costs: RollupCosts) -> list[Result]:
    title = f"Aggregates, {costs.services:,} checks a minute, {engine}"
    hours = run.scale.rollup_history_hours
    note = (
        "CPU time of the server in refresh(), which is called after each quarter of an hour; one figure per hour;"
        f"\nthe database's clock is simulated; one refresh of {hours} h took {costs.history_us:.3g} us a row"
    )
    if costs.compress_us is not None:
        note += f"; compression takes {costs.compress_us:.3g} us a row"
    note_late = (
        f"from BEGIN to COMMIT; the row is {LATE_BY.days} days late, and {hours} h of all services are stored;"
        "\nwithout a refresh, all views then agree with the raw rows"
    )
    targets = (at_most(8, "us"), at_most(20, "ms")) if engine == ENGINE_WITH_TARGETS else (None, None)
    return [
        figure(f"{title}: CPU time of a refresh per row", costs.refresh_us, "us", targets[0], note=note),
        figure(f"{title}: time to record a late row", costs.late_ms, "ms", targets[1], note=note_late),
    ]
