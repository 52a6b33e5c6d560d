"""All settings of the program, with type, environment variable, default and meaning.

`load` reads them from the environment. The tables in the README are tested against `Settings` and `ENVIRONMENT`.
"""

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from platformdirs import user_data_path

from sla_monitor.formats.networks import Network
from sla_monitor.settings import values
from sla_monitor.settings.values import Limit


class StartError(Exception):
    """The program cannot run. The message is one line for the user and names a remedy; no traceback is printed."""

    exit_code = 1


class SettingsError(StartError):
    """An invalid setting. The message names the variable and the accepted values."""

    exit_code = 2


def default_home() -> Path:
    """The default of SLA_MONITOR_HOME. For root it is not below /root, which an unprivileged PostgreSQL cannot read."""
    return Path("/var/lib/sla-monitor") if os.geteuid() == 0 else user_data_path("sla-monitor")


class Variable(NamedTuple):
    """The environment variable of a field of `Settings`: its name, parser (raises ValueError) and description."""

    name: str
    parse: Callable[[str], Any]
    meaning: str


class Terms(NamedTuple):
    """Settings that are stored in the database. A process whose variables do not set them uses the stored values: a
    prober on another machine that is started without SLA_MONITOR_TIMEZONE must not change the days to UTC."""

    time_zone: str
    retention: timedelta
    compress_after: timedelta


NEW_INSTALLATION = Terms("UTC", timedelta(days=400), timedelta(days=2))


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of all programs. `ENVIRONMENT` names the variable of each field."""

    database_url: str | None = None
    database_engine: str = "auto"
    api_password: str | None = None
    prober_password: str | None = None
    worker_password: str | None = None
    analyst_password: str | None = None
    home: Path = msgspec.field(default_factory=default_home)
    time_zone: str | None = None
    log_level: str = "info"
    request_log: Literal["off", "text", "json"] = "off"
    services_file: Path | None = None
    sla_file: Path | None = None

    api_host: str = "127.0.0.1"
    api_port: int = 3001
    client_urls: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()

    site_title: str = "SLA Monitor"
    site_logo: Path | None = None
    site_color: str = "#2456c8"
    site_url: str | None = None

    jwt_secret: str | None = None
    access_token_lifetime: timedelta = timedelta(hours=24)
    refresh_token_lifetime: timedelta = timedelta(days=7)

    rate_limit_api: Limit | None = Limit(100, timedelta(minutes=15))
    rate_limit_pages: Limit | None = Limit(600, timedelta(minutes=15))
    rate_limit_login: Limit | None = Limit(5, timedelta(minutes=15))
    rate_limit_incidents: Limit | None = Limit(10, timedelta(minutes=1))
    rate_limit_sockets: Limit | None = Limit(30, timedelta(minutes=1))
    rate_limit_pings: Limit | None = Limit(60, timedelta(minutes=1))

    socket_limit: int = 6000
    sockets_per_address: int = 500
    sockets_per_user: int = 50
    socket_max_message: int = 256 * 1024
    socket_queue: int = 256
    socket_send_timeout: timedelta = timedelta(seconds=10)

    prober_host: str = "127.0.0.1"
    prober_port: int = 3008
    location: str = "local"
    check_interval: timedelta = timedelta(minutes=1)
    check_timeout_ms: int = 7000
    probe_concurrency: int = 1000
    probe_max_bytes: int = 2 * 1024 * 1024
    probe_bodies_max_bytes: int = 64 * 1024 * 1024
    probe_deny_networks: tuple[Network, ...] = values.networks(
        "169.254.0.0/16,fe80::/10,fd00:ec2::254/128,100.100.100.200/32,168.63.129.16/32,192.0.0.192/32"
    )
    ca_file: Path | None = None
    spool_max_bytes: int = 256 * 1024 * 1024
    heartbeat_url: str | None = None

    worker_host: str = "127.0.0.1"
    worker_port: int = 3009

    retention: timedelta | None = None
    compress_after: timedelta | None = None
    event_retention: timedelta = timedelta(days=7)
    audit_retention: timedelta = timedelta(days=3 * 365)

    id_recognition_endpoint: str | None = None
    face_liveness_endpoint: str | None = None
    id_liveness_endpoint: str | None = None
    face_compare_endpoint: str | None = None
    curp_verifier_endpoint: str | None = None


_BYTES = values.integer(64 * 1024, 2**40)
_PORT = values.integer(1, 65535)

ENVIRONMENT: dict[str, Variable] = {
    "database_url": Variable(
        "DATABASE_URL", values.postgresql_url, "PostgreSQL to use; without it `up` starts its own"
    ),
    "database_engine": Variable(
        "DATABASE_ENGINE",
        values.one_of("auto", "timescaledb", "postgresql"),
        "engine of a new installation; auto means TimescaleDB if the server has it",
    ),
    **{
        f"{part}_password": Variable(
            f"SLA_{part.upper()}_PASSWORD",
            values.password,
            f"password of the database user sla_monitor_{part}, which `migrate` creates",
        )
        for part in ("api", "prober", "worker", "analyst")
    },
    "home": Variable("SLA_MONITOR_HOME", values.path, "folder of the embedded database and of the spool"),
    "time_zone": Variable(
        "SLA_MONITOR_TIMEZONE", values.time_zone, "time zone of days and months; stored in the database"
    ),
    "log_level": Variable("LOG_LEVEL", values.log_level, "lowest level that is logged"),
    "request_log": Variable(
        "REQUEST_LOG", values.one_of("off", "text", "json"), "a line for each request to the API, on standard output"
    ),
    "services_file": Variable("SERVICES_FILE", values.path, "services.toml, applied at start and on change"),
    "sla_file": Variable(
        "SLA_FILE", values.path, "sla.toml or OpenSLO documents with SLA policies, applied at start and on change"
    ),
    "api_host": Variable("HOST", str, "address the API listens on"),
    "api_port": Variable("PORT", _PORT, "port of the API"),
    "client_urls": Variable("CLIENT_URLS", values.origin_list, "origins of browser front ends, separated by commas"),
    "allowed_hosts": Variable(
        "ALLOWED_HOSTS",
        values.host_names,
        "host names of the API; addresses, names without a dot and the hosts of CLIENT_URLS are always allowed",
    ),
    "trusted_proxies": Variable(
        "TRUSTED_PROXIES", values.networks, "networks of proxies whose X-Forwarded-For names the real client"
    ),
    "site_title": Variable("SITE_TITLE", values.title, "name of the status page"),
    "site_logo": Variable("SITE_LOGO", values.image, "logo beside the title, an .svg or .png file"),
    "site_color": Variable("SITE_COLOR", values.color, "colour of buttons and of the line at the top of pages"),
    "site_url": Variable(
        "SITE_URL",
        values.origin,
        "public address of the pages, for links in feeds and badges; by default that of the request",
    ),
    "jwt_secret": Variable(
        "JWT_SECRET",
        values.secret,
        "key that signs tokens; by default generated and stored in the database",
    ),
    "access_token_lifetime": Variable("JWT_EXPIRES_IN", values.lifetime, "lifetime of an access token"),
    "refresh_token_lifetime": Variable("REFRESH_EXPIRES_IN", values.lifetime, "lifetime of a login without a refresh"),
    "rate_limit_api": Variable(
        "RATE_LIMIT_API",
        values.limit,
        "API requests of one address that are not served from the cache; logins have a separate limit of the same size",
    ),
    "rate_limit_pages": Variable(
        "RATE_LIMIT_PAGES",
        values.limit,
        "pages, badges and feeds requested by one address that are not served from the cache",
    ),
    "rate_limit_login": Variable(
        "RATE_LIMIT_LOGIN",
        values.limit,
        "failed logins of one address; for one account, all addresses without an earlier login share ten times as many",
    ),
    "rate_limit_incidents": Variable("RATE_LIMIT_INCIDENTS", values.limit, "new incidents of one user"),
    "rate_limit_sockets": Variable("RATE_LIMIT_SOCKETS", values.limit, "sockets opened by one address"),
    "rate_limit_pings": Variable(
        "RATE_LIMIT_PINGS", values.limit, "reports of one job, and reports with an unknown key from one address"
    ),
    "socket_limit": Variable("SOCKET_LIMIT", values.integer(1, 1_000_000), "open sockets of one API process"),
    "sockets_per_address": Variable(
        "SOCKETS_PER_ADDRESS", values.integer(1, 1_000_000), "open sockets of one address at one API process"
    ),
    "sockets_per_user": Variable(
        "SOCKETS_PER_USER", values.integer(1, 1_000_000), "open sockets of one user at one API process"
    ),
    "socket_max_message": Variable(
        "SOCKET_MAX_MESSAGE",
        values.integer(1024, 1024 * 1024),
        "bytes of one message from a socket; drafts of 64 KB need 256 KB",
    ),
    "socket_queue": Variable("SOCKET_QUEUE", values.integer(1, 100_000), "frames that may wait for one client"),
    "socket_send_timeout": Variable("SOCKET_SEND_TIMEOUT", values.duration, "maximum time to send one frame"),
    "prober_host": Variable("WATCH_SERVER_HOST", str, "address of the prober's /health and /metrics"),
    "prober_port": Variable("WATCH_SERVER_PORT", _PORT, "port of the prober's /health and /metrics"),
    "location": Variable(
        "PROBE_LOCATION",
        values.slug,
        "location of this prober; each prober needs its own, otherwise every check is made twice",
    ),
    "check_interval": Variable(
        "HEALTH_CHECK_INTERVAL", values.interval, "default time between checks: a cron line or a duration"
    ),
    "check_timeout_ms": Variable("HEALTH_CHECK_TIMEOUT", values.integer(100, 60_000), "default timeout of a check, ms"),
    "probe_concurrency": Variable("PROBE_CONCURRENCY", values.integer(1, 20_000), "checks that run at once"),
    "probe_max_bytes": Variable("PROBE_MAX_BYTES", _BYTES, "bytes of a response that are read"),
    "probe_bodies_max_bytes": Variable(
        "PROBE_BODIES_MAX_BYTES", _BYTES, "bytes of large responses (over 64 KiB) in memory at once; other checks wait"
    ),
    "probe_deny_networks": Variable("PROBE_DENY_NETWORKS", values.networks, "networks that no probe connects to"),
    "ca_file": Variable(
        "SSL_CERT_FILE", values.path, "file of CA certificates that probes trust instead of the system's"
    ),
    "spool_max_bytes": Variable(
        "SPOOL_MAX_BYTES", _BYTES, "size of the spool on disk; when it is full, the oldest checks are dropped"
    ),
    "heartbeat_url": Variable(
        "HEARTBEAT_URL",
        values.http_url,
        "URL that the prober requests after each minute with stored checks (dead man's switch)",
    ),
    "worker_host": Variable("WORKER_HOST", str, "address of the worker's /health and /metrics"),
    "worker_port": Variable("WORKER_PORT", _PORT, "port of the worker's /health and /metrics"),
    "retention": Variable(
        "CHECK_RETENTION", values.retention, "age at which raw checks are deleted; rollups stay; stored in the database"
    ),
    "compress_after": Variable(
        "CHECK_COMPRESS_AFTER",
        values.duration,
        "age at which TimescaleDB compresses raw checks; stored in the database",
    ),
    "event_retention": Variable("EVENT_RETENTION", values.duration, "how far back a socket can catch up with ?since="),
    "audit_retention": Variable(
        "AUDIT_RETENTION", values.audit_retention, "age at which lines of the audit log are deleted"
    ),
    "id_recognition_endpoint": Variable(
        "ID_RECOGNITION_ENDPOINT", values.http_url, "URL of the service id-recognition"
    ),
    "face_liveness_endpoint": Variable("FACE_LIVENESS_ENDPOINT", values.http_url, "URL of the service face-liveness"),
    "id_liveness_endpoint": Variable("ID_LIVENESS_ENDPOINT", values.http_url, "URL of the service id-liveness"),
    "face_compare_endpoint": Variable("FACE_COMPARE_ENDPOINT", values.http_url, "URL of the service face-compare"),
    "curp_verifier_endpoint": Variable("CURP_VERIFIER_ENDPOINT", values.http_url, "URL of the service curp-verifier"),
}


SECRET = frozenset(
    {
        *("database_url", "jwt_secret", "heartbeat_url"),
        *("api_password", "prober_password", "worker_password", "analyst_password"),
    }
)
"""Fields whose values are never shown."""


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads all settings. An unset or empty variable means the default. Raises SettingsError for an invalid one."""
    given: dict[str, Any] = {}
    for field, variable in ENVIRONMENT.items():
        text = environ.get(variable.name, "").strip()
        if not text:
            continue
        try:
            given[field] = variable.parse(text)
        except ValueError as error:
            shown = "***" if field in SECRET else repr(text)
            raise SettingsError(f"{variable.name}={shown} is not {error}") from None
    return Settings(**given)


def given(environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """The fields of `Settings` whose variables are set."""
    return frozenset(field for field, variable in ENVIRONMENT.items() if environ.get(variable.name, "").strip())


def terms(settings: Settings, stored: Terms) -> Terms:
    """The terms of an installation: those of `settings` if set, else the stored ones. Raises SettingsError if they are
    not compatible."""
    agreed = Terms(
        settings.time_zone or stored.time_zone,
        settings.retention or stored.retention,
        settings.compress_after or stored.compress_after,
    )
    if agreed.compress_after >= agreed.retention:
        raise SettingsError("CHECK_COMPRESS_AFTER must be shorter than CHECK_RETENTION")
    return agreed
