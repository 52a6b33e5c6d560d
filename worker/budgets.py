"""Alerts on error budgets that burn too fast or are spent (docs/accounting.md)."""

from worker.duty import Work

STATEMENT_S = 25.0
"""The timeout of the statement: shorter than that of the duty."""


async def turn(work: Work) -> None:
    """Begins and ends alerts, with an event for each."""
    async with work.session(STATEMENT_S) as connection:
        await connection.execute("SELECT turn_alerts()")
