"""The steps of a start that need the database. Each has a timeout and is repeated until it succeeds."""

import logging
import random
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import psycopg

from sla_monitor.command.first_admin import introduce_first_admin
from sla_monitor.settings import Settings
from sql.migrate import RETRY_PAUSES_S, Migrated, migrate_when_possible

log = logging.getLogger(__name__)

STEP_TIMEOUT_S = 30


async def prepare(database_url: str, settings: Settings) -> Migrated:
    """Migrates the schema and creates the first admin. Raises MigrationError if the database cannot be used."""
    migrated = await migrate_when_possible(database_url, settings)
    await when_possible("the first user cannot be created", partial(introduce_first_admin, database_url))
    return migrated


async def when_possible(failure: str, step: Callable[[], Awaitable[None]]) -> None:
    """Repeats a step until it succeeds. `failure` begins the log line; a reason is logged once until it changes."""
    pause_s, longest_s = RETRY_PAUSES_S
    logged = ""
    while True:
        try:
            with anyio.fail_after(STEP_TIMEOUT_S):
                await step()
            return
        except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, TimeoutError) as error:
            reason = (str(error).strip().splitlines() or ["no response in time"])[0]
            if reason != logged:
                logged = reason
                log.warning("%s (%s); retrying", failure, reason)
        await anyio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - not a secret
        pause_s = min(longest_s, 2 * pause_s)
