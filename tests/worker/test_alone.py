"""API and prober do nothing periodic: only the worker does."""

from pathlib import Path

from tests.api.conftest import running_api
from tests.prober.test_run import prober
from tests.sql.batches import Connection, connected, fetch
from tests.worker.working import working
from worker.duties import DUTIES

FUNCTIONS = {"expire_states()": "integer", "turn_maintenance()": "integer", "expire_presence()": "void"}
PROCEDURES = ("keep_partitions()", "fold_checks()")
NOTE = "INSERT INTO calls VALUES (current_setting('application_name'), '{name}');"


async def note_callers(db: Connection) -> None:
    """Whoever calls what is done periodically is written down, and nothing else is done."""
    await db.execute("CREATE TABLE calls (caller text, called text)")
    for name, returned in FUNCTIONS.items():
        body = NOTE.format(name=name) + (" RETURN 0;" if returned == "integer" else "")
        await db.execute(
            f"CREATE OR REPLACE FUNCTION {name} RETURNS {returned} LANGUAGE plpgsql AS $$ BEGIN {body} END $$".encode()
        )
    for name in PROCEDURES:
        body = NOTE.format(name=name)
        await db.execute(f"CREATE OR REPLACE PROCEDURE {name} LANGUAGE plpgsql AS $$ BEGIN {body} END $$".encode())


async def test_only_the_worker_calls_what_is_periodic(database: str, tmp_path: Path) -> None:
    async with connected(database) as db:
        await note_callers(db)
        async with running_api(database), working(database, *[duty.name for duty in DUTIES], pause_s=None) as worker:
            with prober(database, tmp_path) as probing:
                await probing.is_ready()
                await worker.reached("maintenance", worker.rounds("maintenance") + 7)  # one a second
                await worker.reached("expiry", 2)
        calls = await fetch(db, "SELECT DISTINCT caller, called FROM calls WHERE caller <> 'sla-monitor migrate'")
    assert {caller for caller, _ in calls} == {"sla-monitor worker", "sla-monitor worker duty"}
    assert {"expire_states()", "turn_maintenance()", *PROCEDURES} <= {called for _, called in calls}
