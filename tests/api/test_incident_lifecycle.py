"""Two users over REST and one in SQL edit an incident in any order: no saved change is lost and all rules hold.

The model is the last response. Each user saves with the version of the last response it got, which may be outdated.
"""

from typing import Any, ClassVar, cast

import anyio.to_thread
import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from sla_monitor.formats.one_line import is_label
from tests.api.conftest import Api, add_service, create_user
from tests.api.incidents import OUTAGE, Db

EDITORS = st.sampled_from(["ana", "ben"])
STATUSES = st.sampled_from(["investigating", "identified", "monitoring", "resolved"])
SERVICES = st.lists(st.sampled_from(["shop", "search", "mail"]), unique=True).map(sorted)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
TITLES = TEXTS.filter(is_label)


class Lifecycle(RuleBasedStateMachine):
    """Sends requests to a running API from a thread of its own."""

    http: ClassVar[httpx.Client]
    db: ClassVar[psycopg.Connection[Any]]
    headers: ClassVar[dict[str, dict[str, str]]]
    ids: ClassVar[set[str]]

    @initialize()
    def create(self) -> None:
        response = self.http.post("/api/incidents", json=OUTAGE, headers=self.headers["ana"])
        assert response.status_code == 201
        self.incident = response.json()["incident"]
        self.path = f"/api/incidents/{self.incident['id']}"
        self.etags = dict.fromkeys(self.headers, response.headers["etag"])
        self.current = response.headers["etag"]
        assert self.incident["id"] not in self.ids
        self.ids.add(self.incident["id"])

    @rule(editor=EDITORS)
    def look(self, editor: str) -> None:
        response = self.http.get(self.path, headers=self.headers[editor])
        assert response.json() == {"incident": self.incident}
        self.etags[editor] = response.headers["etag"]
        unchanged = self.http.get(self.path, headers=self.headers[editor] | {"If-None-Match": self.etags[editor]})
        assert unchanged.status_code == 304

    @rule(editor=EDITORS, title=TITLES)
    def rename(self, editor: str, title: str) -> None:
        self._save(editor, {"title": title})

    @rule(editor=EDITORS, status=STATUSES, services=SERVICES)
    def move(self, editor: str, status: str, services: list[str]) -> None:
        self._save(editor, {"status": status, "affectedServices": services})

    @rule(editor=EDITORS, status=STATUSES, description=TEXTS)
    def add_update(self, editor: str, status: str, description: str) -> None:
        body = {"status": status, "description": description}
        headers = self.headers[editor] | {"If-Match": self.etags[editor]}
        response = self.http.post(f"{self.path}/updates", json=body, headers=headers)
        if self._refused(editor, response):
            return
        assert response.status_code == 201
        added = response.json()["update"]
        assert {name: added[name] for name in body} == body
        self._accept(editor, {"status": status}, [added])

    @rule(status=STATUSES)
    def set_by_hand(self, status: str) -> None:
        self.db.execute("UPDATE incidents SET status = %s WHERE id = %s", [status, self.incident["id"]])
        self._accept(None, {"status": status})

    @invariant()
    def rules_hold(self) -> None:
        shown = self.incident
        assert (shown["resolvedAt"] is not None) == (shown["status"] == "resolved")
        numbers = [update["id"] for update in shown["updates"]]
        assert shown["updateCount"] == len(numbers)
        assert numbers == sorted(set(numbers), reverse=True)
        assert not shown["updates"] or shown["updates"][0]["status"] == shown["status"]

    def _save(self, editor: str, body: dict[str, Any]) -> None:
        headers = self.headers[editor] | {"If-Match": self.etags[editor]}
        response = self.http.put(self.path, json=body, headers=headers)
        if not self._refused(editor, response):
            assert response.status_code == 200
            self._accept(
                editor, {name: sorted(value) if isinstance(value, list) else value for name, value in body.items()}
            )

    def _refused(self, editor: str, response: httpx.Response) -> bool:
        """Returns whether the save was refused. Checks that it was refused if and only if the version was outdated, and
        that the response then contains the current incident."""
        outdated = self.etags[editor].split("-")[0] != self.current.split("-")[0]
        assert (response.status_code == 412) == outdated
        if outdated:
            assert response.json()["incident"] == self.incident
            self.etags[editor] = response.headers["etag"]
            assert self.etags[editor] == self.current
        return outdated

    def _accept(self, editor: str | None, change: dict[str, Any], updates: list[Any] | None = None) -> None:
        """Checks that the saved fields have their new values, that all others are unchanged, and that the version
        increased if anything changed."""
        response = self.http.get(self.path, headers=self.headers["ana"])
        before, after = self.incident, response.json()["incident"]
        added = after["updates"][: len(after["updates"]) - len(before["updates"])]
        assert after["updates"][len(added) :] == before["updates"]
        if updates is None:
            moved = change.get("status", before["status"]) != before["status"]
            assert [(update["status"], update["description"]) for update in added] == [(after["status"], "")] * moved
        else:
            assert added == updates
        unchanged_fields = {name: before[name] for name in before if name not in (*change, "updates", *DERIVED)}
        assert {name: after[name] for name in (*unchanged_fields, *change)} == unchanged_fields | change
        changed = bool(added) or any(before[name] != after[name] for name in change)
        assert after["version"] == before["version"] + changed
        assert after["updatedAt"] >= before["updatedAt"] if changed else after["updatedAt"] == before["updatedAt"]
        if before["status"] == after["status"]:
            assert after["resolvedAt"] == before["resolvedAt"]
        self.incident, self.current = after, response.headers["etag"]
        if editor is not None:
            self.etags[editor] = self.current


DERIVED = ("version", "updatedAt", "resolvedAt", "updateCount")


@pytest.mark.one_engine
async def test_concurrent_edits_in_any_order_lose_nothing(api: Api, db: Db, database: str) -> None:
    for service in ("shop", "search", "mail"):
        await add_service(db, service)
    editors = {name: (await create_user(db, "reporter", name)).headers for name in ("ana", "ben")}
    await anyio.to_thread.run_sync(run, str(api.http.base_url), database, editors)


def run(base_url: str, database: str, editors: dict[str, dict[str, str]]) -> None:
    with (
        httpx.Client(base_url=base_url, trust_env=False, timeout=120) as http,
        psycopg.connect(database, autocommit=True) as db,
    ):
        machine = type("Machine", (Lifecycle,), {"http": http, "db": db, "headers": editors, "ids": set()})
        run_state_machine_as_test(
            cast(type[RuleBasedStateMachine], machine),
            settings=settings(
                max_examples=25,
                stateful_step_count=20,
                suppress_health_check=list(HealthCheck),
            ),
        )
