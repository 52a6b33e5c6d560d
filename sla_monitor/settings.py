"""Every setting of the program: its environment variable, its default, its meaning. One place, typed.

`load` reads them all and raises `SettingsError`, whose text is one line naming the variable, for any value that
cannot be used. The tables in the README are tested against `Settings.__struct_fields__` and `ENVIRONMENT`.
"""

import ipaddress
import itertools
import os
import re
import zoneinfo
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from cronsim import CronSim, CronSimError
from platformdirs import user_data_path

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class StartError(Exception):
    """Why the program cannot run, for the person who starts it: one line that says what to do. Never a traceback."""

    exit_code = 1


class SettingsError(StartError):
    """A setting that cannot be used; the line names the variable and says what would do."""

    exit_code = 2


SLUG = "[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?"
"""What the id of a service or of a location looks like, whole: the database has the same rule."""

_DURATION = re.compile(r"(\d+)\s*(ms|s|m|h|d)?")
_UNIT_SECONDS = {"ms": 0.001, None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _duration(text: str) -> timedelta:
    """`90`, `90s`, `15m`, `24h`, `400d`: a bare number counts seconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("a duration such as 30s, 15m, 24h or 400d")
    try:
        return timedelta(seconds=int(match[1]) * _UNIT_SECONDS[match[2]])
    except OverflowError:
        raise ValueError("a duration that a clock can count") from None


def _retention(text: str) -> timedelta:
    """A duration, long enough that no refresh of the aggregates (7 days back) meets rows that are gone."""
    retention = _duration(text)
    if retention < timedelta(days=8):
        raise ValueError("at least 8d: aggregates are refreshed over the last 7 days")
    return retention


def _audit_retention(text: str) -> timedelta:
    """A duration; the database itself keeps the last 30 days."""
    retention = _duration(text)
    if retention < timedelta(days=30):
        raise ValueError("at least 30d")
    return retention


def _interval(text: str) -> timedelta:
    """A duration, or a cron line whose times lie evenly apart (`* * * * *`, `*/5 * * * *`, `*/30 * * * * *`)."""
    if len(text.split()) < 5:
        try:
            interval = _duration(text)
        except ValueError:
            raise ValueError("a duration such as 60s, or a cron line such as */5 * * * *") from None
    else:
        try:
            fires = CronSim(text, datetime(2026, 1, 1, tzinfo=UTC))
            times = [next(fires) for _ in range(100)]
        except (CronSimError, StopIteration):
            raise ValueError("a cron line or a duration such as 60s") from None
        gaps = {later - earlier for earlier, later in itertools.pairwise(times)}
        if len(gaps) != 1:
            raise ValueError("a cron line whose times lie evenly apart, such as */5 * * * *")
        interval = gaps.pop()
    if not timedelta(seconds=1) <= interval <= timedelta(days=1):
        raise ValueError("between 1 second and 1 day")
    return interval


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return number

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError("one of " + ", ".join(words))
        return text.lower()

    return parse


def _time_zone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # malformed, a folder, unknown
        raise ValueError("an IANA time zone such as Asia/Seoul") from None
    return text


def _postgresql_url(text: str) -> str:
    """Judged by libpq itself. Its words are not passed on: they may quote the password."""
    from psycopg import ProgrammingError  # here, because most commands need no database
    from psycopg.conninfo import conninfo_to_dict

    try:
        usable = text.startswith(("postgresql://", "postgres://")) and bool(conninfo_to_dict(text))
    except ProgrammingError:
        usable = False
    if not usable:
        raise ValueError("a URL such as postgresql://user:password@host:5432/database")
    return text


def http_url(text: str) -> str:
    """An absolute http(s) URL with a host and a valid port; anything else raises ValueError."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not text.isprintable() or " " in text or len(text) > 2048:
        raise ValueError("an absolute http:// or https:// URL")
    return text


def _url_list(text: str) -> tuple[str, ...]:
    return tuple(http_url(part.strip()).rstrip("/") for part in text.split(",") if part.strip())


def _names(text: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name) for name in names):
        raise ValueError("host names without ports, separated by commas, such as status.example.com")
    return names


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("networks in CIDR notation, separated by commas, such as 169.254.0.0/16,fe80::/10") from None


def _slug(text: str) -> str:
    if not re.fullmatch(SLUG, text):
        raise ValueError("at most 50 small letters, digits and hyphens")
    return text


class Limit(NamedTuple):
    """So many times within a window, for one client; None in its place is no limit."""

    times: int
    window: timedelta


def _limit(text: str) -> Limit | None:
    """`100/15m`, `10/m`, `off`."""
    if text.strip().lower() == "off":
        return None
    times, _, window = text.partition("/")
    try:
        limit = Limit(int(times), _duration(window if window.strip()[:1].isdigit() else "1" + window.strip()))
    except ValueError:
        limit = Limit(0, timedelta())
    if (
        not window.strip()
        or not 1 <= limit.times <= 1_000_000_000
        or not timedelta(seconds=1) <= limit.window <= timedelta(days=1)
    ):
        raise ValueError("a limit such as 100/15m (a window of at most one day), or off")
    return limit


def _secret(text: str) -> str:
    """A key that cannot be guessed, as far as its length tells. What it is, is never shown."""
    if len(text.encode()) < 32:
        raise ValueError("long enough: 32 bytes or more; without it one is generated and kept in the database")
    return text


def _lifetime(text: str) -> timedelta:
    """A duration from a minute to a year."""
    lifetime = _duration(text)
    if not timedelta(minutes=1) <= lifetime <= timedelta(days=365):
        raise ValueError("between 1m and 365d")
    return lifetime


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def default_home() -> Path:
    """Root's data belongs where an unprivileged PostgreSQL can reach it: /root itself is closed to others."""
    return Path("/var/lib/sla-monitor") if os.geteuid() == 0 else user_data_path("sla-monitor")


class Variable(NamedTuple):
    """How one environment variable becomes a field of `Settings`."""

    name: str
    parse: Callable[[str], Any]
    meaning: str


class Terms(NamedTuple):
    """What belongs to the database and not to one process: a setting that is not given leaves it as it is there.

    Otherwise a prober on another machine, started without SLA_MONITOR_TIMEZONE, would move every day to UTC.
    """

    time_zone: str
    retention: timedelta
    compress_after: timedelta


NEW_INSTALLATION = Terms("UTC", timedelta(days=400), timedelta(days=2))


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The program's settings, each read from the variable that `ENVIRONMENT` names for it."""

    database_url: str | None = None
    database_engine: str = "auto"
    home: Path = msgspec.field(default_factory=default_home)
    time_zone: str | None = None
    log_level: str = "info"
    services_file: Path | None = None

    api_host: str = "127.0.0.1"
    api_port: int = 3001
    client_urls: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()

    jwt_secret: str | None = None
    access_token_lifetime: timedelta = timedelta(hours=24)
    refresh_token_lifetime: timedelta = timedelta(days=7)

    rate_limit_api: Limit | None = Limit(100, timedelta(minutes=15))
    rate_limit_login: Limit | None = Limit(5, timedelta(minutes=15))
    rate_limit_incidents: Limit | None = Limit(10, timedelta(minutes=1))
    rate_limit_sockets: Limit | None = Limit(30, timedelta(minutes=1))

    socket_limit: int = 6000
    sockets_per_address: int = 500
    sockets_per_user: int = 50
    socket_max_message: int = 64 * 1024
    socket_queue: int = 256
    socket_send_timeout: timedelta = timedelta(seconds=10)

    prober_host: str = "127.0.0.1"
    prober_port: int = 3008
    location: str = "local"
    check_interval: timedelta = timedelta(minutes=1)
    check_timeout_ms: int = 7000
    probe_concurrency: int = 1000
    probe_max_bytes: int = 2 * 1024 * 1024
    probe_deny_networks: tuple[Network, ...] = _networks(
        "169.254.0.0/16,fe80::/10,fd00:ec2::254/128,100.100.100.200/32,168.63.129.16/32,192.0.0.192/32"
    )
    ca_file: Path | None = None
    spool_max_bytes: int = 256 * 1024 * 1024
    heartbeat_url: str | None = None

    retention: timedelta | None = None
    compress_after: timedelta | None = None
    event_retention: timedelta = timedelta(days=7)
    audit_retention: timedelta = timedelta(days=3 * 365)

    id_recognition_endpoint: str | None = None
    face_liveness_endpoint: str | None = None
    id_liveness_endpoint: str | None = None
    face_compare_endpoint: str | None = None
    curp_verifier_endpoint: str | None = None


_MB = 1024 * 1024
_BYTES = _integer(64 * 1024, 2**40)
_PORT = _integer(1, 65535)

ENVIRONMENT: dict[str, Variable] = {
    "database_url": Variable("DATABASE_URL", _postgresql_url, "PostgreSQL to use; without it `up` starts its own"),
    "database_engine": Variable(
        "DATABASE_ENGINE",
        _one_of("auto", "timescaledb", "postgresql"),
        "engine of a new installation; auto is TimescaleDB where the server has it",
    ),
    "home": Variable("SLA_MONITOR_HOME", _path, "folder of the embedded database and of the spool"),
    "time_zone": Variable(
        "SLA_MONITOR_TIMEZONE", _time_zone, "zone that days and months belong to; kept in the database"
    ),
    "log_level": Variable("LOG_LEVEL", _one_of("debug", "info", "warning", "error"), "least level that is logged"),
    "services_file": Variable("SERVICES_FILE", _path, "services.toml, applied at start and on change"),
    "api_host": Variable("HOST", str, "address the API listens on"),
    "api_port": Variable("PORT", _PORT, "port of the API"),
    "client_urls": Variable("CLIENT_URLS", _url_list, "origins of browser front ends, separated by commas"),
    "allowed_hosts": Variable(
        "ALLOWED_HOSTS",
        _names,
        "names the API is reached by; addresses, names without a dot and CLIENT_URLS always are",
    ),
    "trusted_proxies": Variable(
        "TRUSTED_PROXIES", _networks, "networks of proxies whose X-Forwarded-For names the real client"
    ),
    "jwt_secret": Variable(
        "JWT_SECRET", _secret, "key that tokens are signed with; generated and kept in the database if it is missing"
    ),
    "access_token_lifetime": Variable("JWT_EXPIRES_IN", _lifetime, "how long an access token is good for"),
    "refresh_token_lifetime": Variable("REFRESH_EXPIRES_IN", _lifetime, "how long a login lasts that is not refreshed"),
    "rate_limit_api": Variable(
        "RATE_LIMIT_API", _limit, "API calls of one address; answers from memory are not counted"
    ),
    "rate_limit_login": Variable(
        "RATE_LIMIT_LOGIN",
        _limit,
        "failed logins of one address; strangers together may fail ten times as often on one account",
    ),
    "rate_limit_incidents": Variable("RATE_LIMIT_INCIDENTS", _limit, "new incidents of one user"),
    "rate_limit_sockets": Variable("RATE_LIMIT_SOCKETS", _limit, "sockets opened by one address"),
    "socket_limit": Variable("SOCKET_LIMIT", _integer(1, 1_000_000), "open sockets of one API process"),
    "sockets_per_address": Variable(
        "SOCKETS_PER_ADDRESS", _integer(1, 1_000_000), "open sockets of one address at one API process"
    ),
    "sockets_per_user": Variable(
        "SOCKETS_PER_USER", _integer(1, 1_000_000), "open sockets of one user at one API process"
    ),
    "socket_max_message": Variable(
        "SOCKET_MAX_MESSAGE", _integer(1024, 1024 * 1024), "bytes of one message from a socket"
    ),
    "socket_queue": Variable("SOCKET_QUEUE", _integer(1, 100_000), "frames that may wait for one slow client"),
    "socket_send_timeout": Variable("SOCKET_SEND_TIMEOUT", _duration, "time one frame may take to be sent"),
    "prober_host": Variable("WATCH_SERVER_HOST", str, "address of the prober's /health and /metrics"),
    "prober_port": Variable("WATCH_SERVER_PORT", _PORT, "port of the prober's /health and /metrics"),
    "location": Variable("PROBE_LOCATION", _slug, "name of the place this prober looks from"),
    "check_interval": Variable(
        "HEALTH_CHECK_INTERVAL", _interval, "default time between checks: a cron line or a duration"
    ),
    "check_timeout_ms": Variable("HEALTH_CHECK_TIMEOUT", _integer(100, 60_000), "default timeout of a check, ms"),
    "probe_concurrency": Variable("PROBE_CONCURRENCY", _integer(1, 20_000), "checks under way at once"),
    "probe_max_bytes": Variable("PROBE_MAX_BYTES", _BYTES, "bytes of an answer that are read"),
    "probe_deny_networks": Variable("PROBE_DENY_NETWORKS", _networks, "networks that no probe connects to"),
    "ca_file": Variable("SSL_CERT_FILE", _path, "CA certificates that probes trust, instead of the system's"),
    "spool_max_bytes": Variable("SPOOL_MAX_BYTES", _BYTES, "size of the spool on disk; the oldest checks go first"),
    "heartbeat_url": Variable("HEARTBEAT_URL", http_url, "dead man's switch, called after each good cycle"),
    "retention": Variable(
        "CHECK_RETENTION", _retention, "age at which raw checks are dropped, rollups stay; kept in the database"
    ),
    "compress_after": Variable(
        "CHECK_COMPRESS_AFTER", _duration, "age at which TimescaleDB compresses raw checks; kept in the database"
    ),
    "event_retention": Variable("EVENT_RETENTION", _duration, "how far back a socket can catch up with ?since="),
    "audit_retention": Variable("AUDIT_RETENTION", _audit_retention, "age at which lines of the audit log are removed"),
    "id_recognition_endpoint": Variable("ID_RECOGNITION_ENDPOINT", http_url, "URL of the service id-recognition"),
    "face_liveness_endpoint": Variable("FACE_LIVENESS_ENDPOINT", http_url, "URL of the service face-liveness"),
    "id_liveness_endpoint": Variable("ID_LIVENESS_ENDPOINT", http_url, "URL of the service id-liveness"),
    "face_compare_endpoint": Variable("FACE_COMPARE_ENDPOINT", http_url, "URL of the service face-compare"),
    "curp_verifier_endpoint": Variable("CURP_VERIFIER_ENDPOINT", http_url, "URL of the service curp-verifier"),
}


SECRET = frozenset({"database_url", "jwt_secret", "heartbeat_url"})
"""Fields whose values are shown to nobody."""


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads all settings. An unset or empty variable means its default; a bad one raises `SettingsError`."""
    values: dict[str, Any] = {}
    for field, variable in ENVIRONMENT.items():
        text = environ.get(variable.name, "").strip()
        if not text:
            continue
        try:
            values[field] = variable.parse(text)
        except ValueError as error:
            shown = "***" if field in SECRET else repr(text)
            raise SettingsError(f"{variable.name}={shown} is not {error}") from None
    return Settings(**values)


def terms(settings: Settings, kept: Terms) -> Terms:
    """The terms of an installation: what is given, else what is `kept`. Raises SettingsError where they contradict."""
    agreed = Terms(
        settings.time_zone or kept.time_zone,
        settings.retention or kept.retention,
        settings.compress_after or kept.compress_after,
    )
    if agreed.compress_after >= agreed.retention:
        raise SettingsError("CHECK_COMPRESS_AFTER must be shorter than CHECK_RETENTION")
    return agreed
