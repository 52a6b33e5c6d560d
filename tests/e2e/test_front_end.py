"""Front ends like the existing ones (axios and socket.io-client on Node) with two API processes, and the same feed over
/ws.

node/scenario.mjs performs the steps of the front ends. EXPECTED has a function for each step that asserts its facts.
"""

import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

import sql
from tests.api.conftest import add_service
from tests.api.incidents import without_names
from tests.api.raw_clients import code, raw_client
from tests.e2e.front_end import Steps, install_packages, run_scenario, script
from tests.e2e.front_end_checks import EXPECTED, INTERNAL, ORIGIN, SERVICE, Facts
from tests.e2e.program import Program, command, running
from tests.worker.working import working

pytestmark = pytest.mark.one_engine


class Processes(NamedTuple):
    """Two API processes on one database, and two reporters with their passwords."""

    first: Program
    second: Program
    db: psycopg.AsyncConnection[Any]
    passwords: dict[str, str]

    async def outage(self) -> None:
        """An action of the scenario: sets the state of all services to outage."""
        await self.db.execute("UPDATE service_states SET state = 'outage', since = now()")

    async def kill(self) -> None:
        """An action of the scenario: ends the first API process with SIGKILL."""
        self.first.process.send_signal(signal.SIGKILL)


@pytest.fixture
async def processes(home: Path, database: str) -> AsyncIterator[Processes]:
    passwords = {}
    for name in ("alice", "bob"):
        added = command("users", "add", name, f"{name}@example.com", "--role", "reporter", DATABASE_URL=database)
        assert added.returncode == 0, added.stderr
        found = re.search(r"^password: (\S+)$", added.stdout, re.MULTILINE)
        assert found is not None
        passwords[name] = found[1]
    variables = {"DATABASE_URL": database, "CLIENT_URLS": ORIGIN}
    async with (
        running("api", home, **variables) as first,
        running("api", home, **variables) as second,
        await sql.connect(database, application="analyst") as db,
        working(database, "presence"),
    ):
        await add_service(db, SERVICE)
        await first.ready()
        await second.ready()
        yield Processes(first, second, db, passwords)


@pytest.fixture(scope="session")
def node_modules(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache is not None
    return install_packages(Path(pytestconfig.cache.mkdir("front-end")))


@pytest.fixture
async def steps(processes: Processes, node_modules: Path, tmp_path: Path) -> Steps:
    first, second = (f"http://127.0.0.1:{program.ports[0]}" for program in (processes.first, processes.second))
    parameters = {
        "first": first,
        "second": second,
        "origin": ORIGIN,
        "passwords": processes.passwords,
        "service": SERVICE,
    }
    return await run_scenario(
        script(tmp_path, node_modules), parameters, {"outage": processes.outage, "kill": processes.kill}
    )


async def test_an_existing_front_end_works_unmodified(steps: Steps) -> None:
    assert "failed" not in steps, steps["failed"]
    for step, facts in steps.items():
        EXPECTED[step](facts, steps)
    assert list(steps) == list(EXPECTED)


async def test_an_incident_room_works_over_ws(processes: Processes) -> None:
    alice, bob = [await logged_in(processes, name) for name in ("alice", "bob")]
    first, second = processes.first, processes.second
    async with (
        raw_client(first, "ws", alice["accessToken"]) as one,
        raw_client(second, "ws", bob["accessToken"]) as two,
        raw_client(second, "ws") as visitor,
    ):
        new = {"title": "Down", "severity": "low", "priority": "P3", "affectedServices": [SERVICE]}
        headers = {"Authorization": f"Bearer {alice['accessToken']}"}
        incident = (await first.api.post("/api/incidents", json=new, headers=headers)).json()["incident"]
        for client in (one, two):
            assert await client.receive_event("incident-created") == {"incident": incident}
        assert await visitor.receive_event("incident-created") == {"incident": without_names(incident)}
        about = {"incidentId": incident["id"]}
        room = {"room": f"incident-{incident['id']}"}
        assert code(await visitor.send_json("join-room", room)) == "UNAUTHORIZED"
        for client in (one, two):
            assert code(await client.send_json("join-room", room)) is None

        await one.send_json("incident-editing", {**about, "userId": "root", "userName": "Root", "isEditing": True})
        who = {"userId": alice["user"]["id"], "userName": "alice"}
        assert await two.receive_event("incident-editing") == {**about, **who, "isEditing": True, "field": None}
        await one.send_json("auto-save", {**about, "data": {"title": "Do"}})
        assert (await two.receive_event("auto-save"))["data"] == {"title": "Do"}
        await two.send_json("incident-comment", {**about, "comment": {"text": "Seen", "author": "Root"}})
        comment = await two.receive_event("incident-comment")
        assert (comment["comment"]["text"], comment["comment"]["author"]) == ("Seen", "bob")
        assert await one.receive_event("incident-comment") == comment
        assert [event for event, _ in await one.received_events(processes.db)] == []

        left_at = two.seq
        await two.socket.close()
        assert (await one.receive_event("user-left"))["userId"] == bob["user"]["id"]
        for text in ("while", "away"):
            await one.send_json("incident-comment", {**about, "comment": text})
        async with raw_client(first, "ws", bob["accessToken"], query=f"since={left_at}") as again:
            await again.send_json("join-room", room)
            missed = [(await again.receive_event("incident-comment"))["comment"]["text"] for _ in range(2)]
            assert missed == ["while", "away"]
        assert not INTERNAL & {event for event, _ in await visitor.received_events(processes.db)}


async def logged_in(processes: Processes, name: str) -> Facts:
    """Logs in and returns the response: both tokens and the user."""
    credentials = {"username": name, "password": processes.passwords[name]}
    response = await processes.first.api.post("/api/auth/login", json=credentials)
    assert response.status_code == 200, response.text
    body: Facts = response.json()
    return body
