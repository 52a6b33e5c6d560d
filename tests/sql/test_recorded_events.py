"""record_checks_v2() appends events and sends notifications."""

from datetime import datetime, timedelta

import anyio

from tests.sql.batches import (
    DAY,
    MINUTE,
    PATIENCE_S,
    Connection,
    Row,
    add_services,
    connected,
    copy,
    events,
    fetch,
    now,
    outages,
    record,
    row,
    state,
    until_waiting,
    value,
)


class TestEvents:
    async def test_status_updates_have_the_order_of_the_changes(self, db: Connection) -> None:
        start = now() - 3 * MINUTE
        for minute, severity in enumerate(("o", "mo", "po")):
            await record(db, [row(start + minute * MINUTE, severity, interval_seconds=300)])
        updates = await fetch(db, "SELECT room, data FROM events WHERE event = 'status-update' ORDER BY seq")
        assert updates == [
            (
                "system-status",
                {"serviceId": "web", "status": name, "timestamp": f"{start + minute * MINUTE:%Y-%m-%dT%H:%M:%S}.000Z"},
            )
            for minute, name in enumerate(("operational", "outage", "degraded"))
        ]

    async def test_an_unchanged_state_sends_no_event(self, db: Connection) -> None:
        await record(db, [row(now() - 2 * MINUTE, "mo")])
        await record(db, [row(now() - MINUTE, "mo")])
        assert len(await events(db)) == 1

    async def test_events_of_private_services_go_to_users_only(self, db: Connection) -> None:
        await add_services(db, "secret", public=False)
        await record(db, [row(now() - MINUTE, "mo", service="secret"), row(now(), service="secret")])
        await fetch(db, "UPDATE services SET enabled = false WHERE id = 'secret' RETURNING 1")
        assert (await state(db, "secret"))[0] == "unknown"
        assert await fetch(db, "SELECT DISTINCT event, room FROM events ORDER BY room") == [
            ("status-update", "system-status-inside"),
            ("uptime-updated", "uptime-inside"),
        ]
        assert len(await outages(db, "secret")) == 1

    async def test_each_worse_status_of_a_day_sends_one_event(self, db: Connection) -> None:
        day = now().replace(hour=0, minute=0, second=0) - 3 * DAY
        for minute, severity in enumerate(("o", "o", "po", "o", "mo", "po", "mo")):
            await record(db, [row(day + minute * MINUTE, severity)])
        await record(db, [row(day + DAY, "po"), row(day + DAY + MINUTE, "o")])
        expected = [(day, "o"), (day, "po"), (day, "mo"), (day + DAY, "po")]
        assert await events(db, "uptime-updated") == [
            {"serviceId": "web", "date": f"{at:%Y-%m-%d}", "status": severity} for at, severity in expected
        ]
        await record(db, [row(day + 10 * MINUTE, "mo"), row(day + 11 * MINUTE, location="seoul")])
        assert len(await events(db, "uptime-updated")) == len(expected)

    async def test_event_numbers_have_the_order_of_the_commits(self, db: Connection, database: str) -> None:
        """The second writer gets no number while the first one, with a lower number, has not committed."""
        await add_services(db, "other")
        async with connected(database) as rival:
            async with db.transaction():
                await copy(db, [row(now())])
                await fetch(db, "SELECT record_checks()")
                async with anyio.create_task_group() as writers:
                    writers.start_soon(record, rival, [row(now(), "mo", service="other")])
                    await until_waiting(db)
                    assert await value(db, "SELECT count(*) FROM events") == 2
                    await db.execute("COMMIT")
                    await db.execute("BEGIN")
            numbered = await fetch(db, "SELECT seq, data ->> 'serviceId' FROM events ORDER BY seq")
        assert [service for _, service in numbered] == ["web", "web", "other", "other"]


class TestNumbers:
    """The numbers of public and internal events."""

    async def test_internal_events_never_get_a_public_number(self, db: Connection) -> None:
        for room in ("uptime", "staff"):
            await db.execute("SELECT append_event('e', %s, '{}')", (room,))
        await db.execute("SELECT setval(pg_get_serial_sequence('events', 'seq'), 131071)")
        await db.execute("SELECT append_event('e', 'incident-INC-2026-0001', '{}'), append_event('e', NULL, '{}')")
        assert [seq for (seq,) in await fetch(db, "SELECT seq FROM events ORDER BY seq")] == [
            65536,
            65537,
            131073,
            196608,
        ]

    async def test_hiding_and_pausing_a_service_locks_recording_before_events(
        self, db: Connection, database: str
    ) -> None:
        await record(db, [row(now())])
        async with connected(database) as rival, anyio.create_task_group() as tasks, db.transaction():
            await db.execute("SELECT lock_recording()")
            tasks.start_soon(rival.execute, "UPDATE services SET public = false, enabled = false")
            await until_waiting(db)
            with anyio.fail_after(PATIENCE_S):
                await db.execute("SELECT lock_events()")
        assert await value(db, "SELECT NOT public AND NOT enabled FROM services")


class TestNotifications:
    async def payloads(self, database: str, rows: list[Row]) -> list[str]:
        """Returns the payloads of the notifications of one batch."""
        async with connected(database) as listener, connected(database) as writer:
            await listener.execute("LISTEN sla_monitor")
            await record(writer, rows)
            await writer.execute("SELECT pg_notify('sla_monitor', 'ping:end')")
            payloads = []
            with anyio.fail_after(PATIENCE_S):
                async for notification in listener.notifies():
                    if notification.payload == "ping:end":
                        break
                    payloads.append(notification.payload)
        return sorted(payloads)

    async def test_a_check_that_changes_the_state_notifies_events(self, db: Connection, database: str) -> None:
        assert await self.payloads(database, [row(now())]) == ["checks", "event"]

    async def test_a_check_without_a_new_state_notifies_checks(self, db: Connection, database: str) -> None:
        at = now()
        at = max(at, at.replace(hour=0, minute=1, second=0))  # the first check of a day sends an event
        await record(db, [row(at - MINUTE), row(at - DAY)])
        assert await self.payloads(database, [row(at)]) == ["checks"]

    async def test_a_duplicate_sends_no_notification(self, db: Connection, database: str) -> None:
        batch = [row(now() - MINUTE)]
        await record(db, batch)
        assert await self.payloads(database, batch) == []

    async def test_a_changed_service_notifies_services(self, db: Connection, database: str) -> None:
        async with connected(database) as listener:
            await listener.execute("LISTEN sla_monitor")
            await db.execute("UPDATE services SET name = 'Web 2' WHERE id = 'web'")
            payloads = {
                notification.payload async for notification in listener.notifies(timeout=PATIENCE_S, stop_after=2)
            }
        assert payloads == {"services", "public-services"}


async def test_days_are_those_of_the_reporting_time_zone(db: Connection) -> None:
    await db.execute("UPDATE installation SET time_zone = 'Asia/Kolkata'")
    evening = datetime.fromisoformat(f"{now() - 2 * DAY:%Y-%m-%d}T18:29:59+00:00")
    await record(db, [row(evening), row(evening + timedelta(seconds=1))])
    days = [data["date"] for data in await events(db, "uptime-updated")]
    assert days == [f"{evening:%Y-%m-%d}", f"{evening + DAY:%Y-%m-%d}"]
