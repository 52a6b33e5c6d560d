"""A running API on a port of its own, and functions that add users, services and checks to its database."""

import secrets
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
from tests.ports import free_port

PATIENCE_S = 120.0


class Api:
    """A running API: its settings and an HTTP client for it."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self.settings = settings
        self.http = http

    @property
    def ws_url(self) -> str:
        """The URL of `/ws`."""
        return f"ws://127.0.0.1:{self.settings.api_port}/ws"

    async def get(self, path: str, **options: Any) -> Any:
        """Returns the JSON of a response that must have status 200."""
        response = await self.http.get(path, **options)
        assert response.status_code == 200, response.text
        return response.json()

    async def ready(self) -> None:
        """Returns when /ready responds with 200."""
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
"""The settings of the API in tests, unless a test overrides them: no rate limits, and `debug`, so that responses have
the header X-Cache."""


class User(msgspec.Struct, frozen=True):
    """A user with a session; `headers` contain its access token."""

    user_id: UUID
    session_id: UUID
    username: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.token)


def bearer(token: str) -> dict[str, str]:
    """Returns the request header with an access token or an API token."""
    return {"Authorization": f"Bearer {token}"}


async def create_user(db: psycopg.AsyncConnection[Any], role: str = "admin", username: str | None = None) -> User:
    """Creates a user with a session. The user has no password, since hashing one would take a second."""
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
    return User(user_id, session_id, username, token)


def signer() -> Tokens:
    """Returns a signer with the key of the APIs in tests."""
    return Tokens(cast(Pool, None), JWT_SECRET)  # the pool would only be used to read the key from the database


StartApi = Callable[..., AbstractAsyncContextManager[Api]]


async def until(condition: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    """Returns when the (async) condition holds; fails after `patience_s`."""
    with anyio.fail_after(patience_s):
        for pause_s in pauses():
            if await condition():
                return
            await anyio.sleep(pause_s)


async def until_events_processed(api: "Api", db: psycopg.AsyncConnection[Any]) -> None:
    """Returns when the API has processed all events committed so far, so that it invalidates no more cached
    responses."""
    await db.execute("SELECT append_event('marker', NULL, '{}')")
    row = await (await db.execute("SELECT max(seq) FROM events WHERE event = 'marker'")).fetchone()

    async def has_processed() -> bool:
        text = (await api.http.get("/metrics")).text
        [seq] = [line for line in text.splitlines() if line.startswith("sla_monitor_event_seq ")]
        return row is not None and float(seq.rpartition(" ")[2]) >= row[0]

    await until(has_processed)


@asynccontextmanager
async def running_api(database_url: str, *, ready: bool = True, **overrides: Any) -> AsyncIterator[Api]:
    """Runs an API until the block ends, then stops it."""
    settings = msgspec.structs.replace(Settings(), api_port=free_port(), **{**UNLIMITED, **overrides})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, settings, database_url, None, SHARED)
        base_url = f"http://127.0.0.1:{settings.api_port}"
        # verify=False: plain HTTP has no certificates, and reading the CA certificates would take longer than most
        # tests.
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
    """A database connection in autocommit mode."""
    connection = await sql.connect(database, application="analyst")
    async with connection:
        yield connection


@pytest.fixture
async def reporter(db: psycopg.AsyncConnection[Any]) -> User:
    """A user with the role `reporter`."""
    return await create_user(db, "reporter")


async def fetch_row(db: psycopg.AsyncConnection[Any], statement: str) -> tuple[Any, ...]:
    """Executes a statement and returns its only row."""
    row: tuple[Any, ...]
    [row] = await (await db.execute(statement.encode())).fetchall()
    return row


async def add_service(db: psycopg.AsyncConnection[Any], service_id: str, **columns: Any) -> None:
    """Adds a public service, and the location of its checks. `columns`: further columns of `services`."""
    values = {"name": service_id.title(), "endpoint_url": "http://127.0.0.1:9/health", "public": True} | columns
    names = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    statement = f"INSERT INTO services (id, {names}) VALUES (%s, {marks})"
    await db.execute(statement.encode(), [service_id, *values.values()])
    await db.execute("INSERT INTO locations (id, name) VALUES ('local', 'Local') ON CONFLICT DO NOTHING")


class Check(msgspec.Struct):
    """A check to record. `ms`: its total time in milliseconds, None if it failed."""

    service: str
    at: datetime
    ms: float | None = 100.0
    slow: bool = False
    interval_s: int = 60
    phases: tuple[float, float, float, float] | None = None
    """The milliseconds of DNS, connection, TLS and first byte."""


async def record(db: psycopg.AsyncConnection[Any], checks: Sequence[Check]) -> None:
    """Records checks through record_checks() in one transaction, like the prober."""
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
    """Sets the reporting time zone to one where it is about noon, so that no day ends during the test. Not for tests of
    checks per day: their views use the zone that the database was migrated with."""
    ahead = 12 - datetime.now(UTC).hour
    zone = f"Etc/GMT{-ahead:+}"  # the signs of these zones are inverted, as in POSIX
    await db.execute("UPDATE installation SET time_zone = %s", [zone])
    return ZoneInfo(zone)


def now() -> datetime:
    """Returns the current time in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
