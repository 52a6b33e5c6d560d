"""The aggregates: what keeping them costs a raw row, and how soon a late row is in all of them."""

from collections.abc import AsyncIterator

from bench.report import Line, absolute, most, not_measured
from bench.run import Run
from bench.steady import BACK, Steady, steady

TARGETED = "timescaledb"
NO_CPU = "the CPU of a server that is not ours cannot be told"


async def lines(run: Run) -> AsyncIterator[Line]:
    if TARGETED not in run.databases.engines:
        yield not_measured(f"Aggregates, {TARGETED}", "no TimescaleDB here")
    for engine in run.databases.engines:
        measured = await steady(run, engine)
        for line in _lines(run, engine, measured) if measured else [not_measured(f"Aggregates, {engine}", NO_CPU)]:
            yield line


def _lines(run: Run, engine: str, measured: Steady) -> list[Line]:
    what = f"Aggregates, {measured.services:,} services a minute, {engine}"
    targeted = engine == TARGETED
    note = (
        "CPU of the server in refresh(), called after each quarter of an hour, by the rows of a whole hour;"
        f"\n{measured.clock}; {run.scale.steady_past_hours} h in one go took {measured.bulk_us:.3g} us a row"
    )
    if measured.compress_us is not None:
        note += f"; compressing the raw rows takes {measured.compress_us:.3g} us each"
    late = (
        f"from BEGIN of its transaction to COMMIT; {BACK.days} days late, amid {run.scale.steady_past_hours} h"
        " of all services; all views were then seen to agree with the raw rows, before any refresh"
    )
    return [
        absolute(f"{what}: refresh a row", measured.refresh_us, "us", most(8, "us") if targeted else None, note=note),
        absolute(f"{what}: one late row", measured.late_ms, "ms", most(20, "ms") if targeted else None, note=late),
    ]
