"""A real API on a real port, and the means to make things happen in its database."""

import secrets
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import anyio
import httpx
import msgspec
import psycopg
import pytest

import sql
from api.app import serve
from api.auth.tokens import Tokens
from sla_monitor.settings import Settings
from sql import Pool
from tests.api.shared import SHARED
from tests.pauses import pauses

PATIENCE_S = 120.0


class Api:
    """One API process of the test: its address, a client for it, and its settings."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.settings = settings
        self.http = http

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.settings.api_port}/ws"

    async def get(self, path: str, **options: Any) -> Any:
        """The JSON of a 200."""
        answer = await self.http.get(path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ready(self) -> None:
        await until(lambda: self._is_ready())

    async def _is_ready(self) -> bool:
        try:
            return (await self.http.get("/ready")).status_code == 200
        except httpx.TransportError:
            return False


JWT_SECRET = secrets.token_urlsafe(48)
UNLIMITED: dict[str, Any] = {
    "jwt_secret": JWT_SECRET,
    "rate_limit_api": None,
    "rate_limit_pages": None,
    "rate_limit_login": None,
    "rate_limit_incidents": None,
    "rate_limit_sockets": None,
    "rate_limit_pings": None,
    "log_level": "debug",
}
"""How the API of a test is set where the test says nothing else: no limit gets in the way, X-Cache is told."""


class Someone(msgspec.Struct, frozen=True):
    """A user of the test who is logged in; `headers` say so."""

    user_id: UUID
    session_id: UUID
    username: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


async def someone(db: psycopg.AsyncConnection[Any], role: str = "admin", username: str | None = None) -> Someone:
    """Makes a user with a session, without the second that a password costs."""
    username = username or f"{role}-{secrets.token_hex(6)}"
    cursor = await db.execute(
        "INSERT INTO users (username, email, password_hash, role) VALUES (%s, %s, 'none', %s) RETURNING id",
        [username, f"{username}@example.com", role],
    )
    [user_id] = await cursor.fetchone() or [None]
    cursor = await db.execute(
        "INSERT INTO sessions (user_id, expires_at) VALUES (%s, now() + interval '1 day') RETURNING id", [user_id]
    )
    [session_id] = await cursor.fetchone() or [None]
    assert isinstance(user_id, UUID) and isinstance(session_id, UUID)
    token = await signer().issue("access", user_id, session_id, timedelta(hours=1))
    return Someone(user_id, session_id, username, token)


def signer() -> Tokens:
    """Signs as the APIs of the tests do."""
    return Tokens(cast(Pool, None), JWT_SECRET)  # with a secret given, no database is asked for one


StartApi = Callable[..., AbstractAsyncContextManager[Api]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def until(condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    """Returns when the (async) condition holds; fails after `patience_s`."""
    with anyio.fail_after(patience_s):
        for pause_s in pauses():
            if await condition():
                return
            await anyio.sleep(pause_s)


async def until_heard(api: "Api", db: psycopg.AsyncConnection[Any]) -> None:
    """Returns when the API has heard of everything that was committed before: it ends no kept answer any more."""
    await db.execute("SELECT append_event('said', NULL, '{}')")
    row = await (await db.execute("SELECT max(seq) FROM events WHERE event = 'said'")).fetchone()

    async def heard() -> bool:
        text = (await api.http.get("/metrics")).text
        [seq] = [line for line in text.splitlines() if line.startswith("sla_monitor_event_seq ")]
        return row is not None and float(seq.rpartition(" ")[2]) >= row[0]

    await until(heard)


@asynccontextmanager
async def running_api(database_url: str, *, ready: bool = True, **overrides: Any) -> AsyncIterator[Api]:
    """Serves until the block ends, then checks that it stops in time."""
    settings = msgspec.structs.replace(Settings(), api_port=free_port(), **{**UNLIMITED, **overrides})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, settings, database_url, None, SHARED)
        base_url = f"http://127.0.0.1:{settings.api_port}"
        # Nothing is verified over plain HTTP; reading the CA certificates would take longer than most tests.
        async with httpx.AsyncClient(base_url=base_url, timeout=PATIENCE_S, trust_env=False, verify=False) as http:
            api = Api(settings, http)
            if ready:
                await api.ready()
            yield api
        tasks.cancel_scope.cancel()


@pytest.fixture
async def api(database: str) -> AsyncIterator[Api]:
    async with running_api(database, client_urls=("http://front.example",)) as running:
        yield running


@pytest.fixture
async def db(database: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """A connection of an analyst, in autocommit mode."""
    connection = await sql.connect(database, application="analyst")
    async with connection:
        yield connection


async def add_service(db: psycopg.AsyncConnection[Any], service_id: str, **columns: Any) -> None:
    values = {"name": service_id.title(), "endpoint_url": "http://127.0.0.1:9/health", "public": True} | columns
    names = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    statement = f"INSERT INTO services (id, {names}) VALUES (%s, {marks})"
    await db.execute(statement.encode(), [service_id, *values.values()])
    await db.execute("INSERT INTO locations (id, name) VALUES ('local', 'Local') ON CONFLICT DO NOTHING")


class Check(msgspec.Struct):
    """One check to be recorded; `ms` None is a failure."""

    service: str
    at: datetime
    ms: float | None = 100.0
    slow: bool = False
    interval_s: int = 60
    phases: tuple[float, float, float, float] | None = None
    """DNS, connect, TLS, first byte."""


async def record(db: psycopg.AsyncConnection[Any], checks: Sequence[Check]) -> None:
    """Writes checks as the prober does: one transaction, through record_checks()."""
    async with db.transaction():
        await db.execute(sql.query("checks/incoming"))
        for check in checks:
            severity = "mo" if check.ms is None else "po" if check.slow else "o"
            await db.execute(
                "INSERT INTO incoming_checks (service_id, location, scheduled_at, finished_at, interval_seconds, "
                "status_code, success, severity, total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, "
                "error_type) "
                "VALUES (%s, 'local', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 1, %s)",
                [
                    check.service,
                    check.at,
                    check.at + timedelta(milliseconds=check.ms or 1),
                    check.interval_s,
                    200 if check.ms is not None else 500,
                    check.ms is not None,
                    severity,
                    check.ms or 5.0,
                    *(check.phases or (None, None, None, None)),
                    None if check.ms is not None else "http_error",
                ],
            )
        counted = await (await db.execute("SELECT stored, duplicates, parked FROM record_checks()")).fetchone()
    assert counted == (len(checks), 0, 0)


async def midday(db: psycopg.AsyncConnection[Any]) -> ZoneInfo:
    """Makes the reporting time zone one where it is about noon, so that no day turns while a test runs. Not for what
    counts checks by day: those views are made for the zone that the database was migrated with."""
    ahead = 12 - datetime.now(UTC).hour
    zone = f"Etc/GMT{-ahead:+}"  # their signs are those of POSIX
    await db.execute("UPDATE installation SET time_zone = %s", [zone])
    return ZoneInfo(zone)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
