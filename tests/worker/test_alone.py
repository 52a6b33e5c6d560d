"""Only the worker performs periodic duties; the API and the prober do not."""

from pathlib import Path

from tests.api.conftest import running_api
from tests.processes import running_prober
from tests.sql.batches import Connection, connected, fetch
from tests.worker.working import working
from worker.duties import DUTIES

FUNCTIONS = {"expire_states()": "integer", "turn_maintenance()": "integer", "expire_presence()": "void"}
PROCEDURES = ("keep_partitions()", "fold_checks()")
INSERT = "INSERT INTO calls VALUES (current_setting('application_name'), '{name}');"


async def replace_duties(db: Connection) -> None:
    """Replaces the functions of the duties by ones that only store the name of their caller."""
    await db.execute("CREATE TABLE calls (caller text, called text)")
    for name, returned in FUNCTIONS.items():
        body = INSERT.format(name=name) + (" RETURN 0;" if returned == "integer" else "")
        await db.execute(
            f"CREATE OR REPLACE FUNCTION {name} RETURNS {returned} LANGUAGE plpgsql AS $$ BEGIN {body} END $$".encode()
        )
    for name in PROCEDURES:
        body = INSERT.format(name=name)
        await db.execute(f"CREATE OR REPLACE PROCEDURE {name} LANGUAGE plpgsql AS $$ BEGIN {body} END $$".encode())


async def test_only_the_worker_calls_the_functions_of_duties(database: str, tmp_path: Path) -> None:
    async with connected(database) as db:
        await replace_duties(db)
        async with running_api(database), working(database, *[duty.name for duty in DUTIES], pause_s=None) as worker:
            with running_prober(database, tmp_path) as probing:
                await probing.wait_until_ready()
                await worker.wait_for_rounds("maintenance", worker.rounds("maintenance") + 7)  # one per second
                await worker.wait_for_rounds("expiry", 2)
        calls = await fetch(db, "SELECT DISTINCT caller, called FROM calls WHERE caller <> 'sla-monitor migrate'")
    assert {caller for caller, _ in calls} == {"sla-monitor worker"}
    assert {"expire_states()", "turn_maintenance()", *PROCEDURES} <= {called for _, called in calls}
