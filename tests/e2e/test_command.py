"""The subcommands: their output, their one-line errors and their exit codes."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread
import psycopg
import pytest

from sla_monitor import __version__
from tests.e2e.program import COMMAND, ONE_SHOT_PATIENCE_S, command, environment
from tests.e2e.watched import service, services_toml
from tests.ports import free_ports
from tests.prober.targets import Certificates, closed_port, good, serving

UNREACHABLE = "postgresql://alice:s3cret@127.0.0.1:{port}/none"


def assert_one_line(ended: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """Asserts the exit code, and that the only output is one line with these parts."""
    assert (ended.returncode, ended.stdout) == (code, ""), ended.stderr
    [line] = ended.stderr.splitlines()
    assert line.startswith("sla-monitor: ")
    for part in parts:
        assert part in line
    assert "s3cret" not in line


@contextmanager
def used_port() -> Iterator[int]:
    """Yields a port on which another socket listens."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder.getsockname()[1]


def test_the_version_is_shown() -> None:
    ended = command("--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"sla-monitor {__version__}\n", "")


# Invalid settings


@pytest.mark.parametrize(
    ("subcommand", "variable", "value"),
    [
        ("up", "PORT", "seventy"),
        ("up", "WATCH_SERVER_PORT", "70000"),
        ("worker", "WORKER_PORT", "0"),
        ("prober", "HEALTH_CHECK_INTERVAL", "0 9 * * 1-5"),
        ("prober", "HEALTH_CHECK_TIMEOUT", "-1"),
        ("api", "SLA_MONITOR_TIMEZONE", "Mars/Olympus"),
        ("api", "CLIENT_URLS", "front.example"),
        ("migrate", "DATABASE_URL", "mysql://alice:s3cret@db/none"),
        ("migrate", "DATABASE_URL", "postgresql://alice:s3cret@d b/none"),
        ("migrate", "DATABASE_URL", "postgresql://alice:s3cret@db/none?nonsense=1"),
        ("migrate", "CHECK_RETENTION", "1d"),
        ("check", "PROBE_DENY_NETWORKS", "10.0.0.1/8/8"),
        ("services", "FACE_COMPARE_ENDPOINT", "face-compare"),
    ],
)
def test_an_invalid_setting_is_a_one_line_error_with_its_name(subcommand: str, variable: str, value: str) -> None:
    rest = {"check": ["http://127.0.0.1/"], "services": ["list"]}.get(subcommand, [])
    assert_one_line(command(subcommand, *rest, **{variable: value}), 2, variable)


@pytest.mark.parametrize("subcommand", ["api", "prober", "worker", "migrate"])
def test_a_part_needs_a_database(subcommand: str) -> None:
    assert_one_line(command(subcommand), 2, "DATABASE_URL is not set", "sla-monitor up")


@pytest.mark.parametrize("subcommand", ["up", "api"])
def test_a_missing_services_file_is_an_error(any_database: str, home: Path, subcommand: str) -> None:
    missing = home / "services.toml"
    ended = command(subcommand, DATABASE_URL=any_database, SLA_MONITOR_HOME=str(home), SERVICES_FILE=str(missing))
    assert_one_line(ended, 2, f"SERVICES_FILE={missing}", "there is no such file")


def test_an_unknown_variable_is_reported_once(any_database: str) -> None:
    ended = command("migrate", DATABASE_URL=any_database, CLIENT_URL="http://front.example", REDIS_URL="redis://x")
    assert ended.returncode == 0
    warnings = [line.partition(" sla_monitor: ")[2] for line in ended.stderr.splitlines() if " WARNING " in line]
    assert warnings == ["CLIENT_URL is not a setting: is CLIENT_URLS meant?", "REDIS_URL is no longer used"]


def test_services_need_a_database_or_a_running_up(home: Path) -> None:
    ended = command("services", "list", SLA_MONITOR_HOME=str(home))
    assert_one_line(ended, 2, "DATABASE_URL is not set", f"no `sla-monitor up` runs on {home}")


# Errors of the environment


@pytest.mark.parametrize("arguments", [["migrate"], ["services", "list"], ["backup", "file"]])
def test_an_unreachable_database_is_a_temporary_failure(home: Path, arguments: list[str]) -> None:
    url = UNREACHABLE.format(port=closed_port())
    ended = command(*arguments, DATABASE_URL=url, SLA_MONITOR_HOME=str(home))
    assert_one_line(ended, 75, "cannot reach the database", "Connection refused", "check DATABASE_URL")


@pytest.mark.parametrize("arguments", [["up"], ["api"], ["prober"], ["worker"], ["migrate"]])
def test_a_database_newer_than_the_program_is_an_error(any_database: str, home: Path, arguments: list[str]) -> None:
    with psycopg.connect(any_database) as connection:
        connection.execute("INSERT INTO schema_versions (name, checksum) VALUES ('migrations/9999_future', 'x')")
    ended = command(*arguments, DATABASE_URL=any_database, SLA_MONITOR_HOME=str(home))
    assert_one_line(ended, 1, "newer than this program", "9999_future", "upgrade sla-monitor")


def test_the_api_names_the_setting_of_a_port_that_is_in_use(any_database: str) -> None:
    with used_port() as port:
        ended = command("api", DATABASE_URL=any_database, PORT=str(port))
    assert_one_line(ended, 1, f"PORT={port}")


def test_the_prober_names_the_setting_of_a_port_that_is_in_use(any_database: str, home: Path) -> None:
    with used_port() as port:
        ended = command("prober", DATABASE_URL=any_database, WATCH_SERVER_PORT=str(port), SLA_MONITOR_HOME=str(home))
    assert_one_line(ended, 1, f"WATCH_SERVER_PORT={port}")


@pytest.mark.parametrize("variable", ["PORT", "WATCH_SERVER_PORT", "WORKER_PORT"])
def test_up_stops_when_a_port_is_in_use(any_database: str, home: Path, variable: str) -> None:
    api, prober = free_ports()
    with used_port() as port:
        settings = {"PORT": str(api), "WATCH_SERVER_PORT": str(prober), variable: str(port)}
        ended = command("up", DATABASE_URL=any_database, SLA_MONITOR_HOME=str(home), LOG_LEVEL="warning", **settings)
    assert_one_line(ended, 1, f"{variable}={port}", f"set {variable} to a free port")


# check


async def test_check_shows_a_successful_response_with_its_phases(certificates: Certificates) -> None:
    async with serving(good(b"all is well"), certificates.valid()) as port:
        url = f"https://127.0.0.1:{port}/"
        settings = {"SSL_CERT_FILE": str(certificates.ca_file)}
        ended = await anyio.to_thread.run_sync(lambda: command("check", url, "--keyword", "well", **settings))
    assert (ended.returncode, ended.stderr) == (0, "")
    fields = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines())
    assert fields["result"] == "operational (o)"
    assert fields["status"] == "HTTP 200"
    assert fields["address"] == "127.0.0.1"
    for phase in ("connect", "TLS", "first", "total"):
        assert fields[phase].endswith(" ms")


async def test_check_shows_the_error_and_exits_with_1() -> None:
    async with serving(good(b"sorry", status="503 Service Unavailable")) as port:
        ended = await anyio.to_thread.run_sync(lambda: command("check", f"http://127.0.0.1:{port}/"))
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "major outage (mo)" in ended.stdout
    assert "http_error: " in ended.stdout
    refused = command("check", f"http://127.0.0.1:{closed_port()}/")
    assert refused.returncode == 1
    assert "connection_error: connection refused" in refused.stdout


def test_check_of_an_invalid_url_is_a_one_line_error() -> None:
    ended = command("check", "ftp://alice:s3cret@files.example/")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "sla-monitor check: URL is not an absolute http:// or https:// URL\n"


# services


def test_services_are_applied_from_a_file_and_listed(database: str, tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    shop, mail = service("shop", "http://shop.example/health"), service("mail", "http://mail.example/", enabled=False)
    file.write_text(services_toml([shop, mail]))
    applied = command("services", "apply", str(file), DATABASE_URL=database)
    assert (applied.returncode, applied.stdout, applied.stderr) == (0, "mail applied\nshop applied\n", "")
    again = command("services", "apply", str(file), DATABASE_URL=database)
    assert again.stdout == "no changes: the services match services.toml\n"
    listed = command("services", "list", DATABASE_URL=database)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split() for line in listed.stdout.splitlines()] == [
        ["id", "name", "URL", "enabled"],
        ["mail", "Mail", "http://mail.example/", "no"],
        ["shop", "Shop", "http://shop.example/health", "yes"],
    ]
    file.write_text(services_toml([mail]))
    released = command("services", "apply", str(file), DATABASE_URL=database)
    assert released.stdout == "shop released\n"


LATIN = {"PYTHONIOENCODING": "latin-1"}
ASCII = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}


@pytest.mark.parametrize(("terminal", "escaped"), [(LATIN, "\\U0001f525 Caf\u00e9"), (ASCII, "\\U0001f525 Caf\\xe9")])
def test_characters_outside_the_encoding_of_the_terminal_are_escaped(
    any_database: str, terminal: dict[str, str], escaped: str
) -> None:
    with psycopg.connect(any_database) as connection:
        connection.execute(
            "INSERT INTO services (id, name, endpoint_url) VALUES ('cafe', '\U0001f525 Caf\u00e9', 'http://cafe.example/')"
        )
    ended = run("services", "list", DATABASE_URL=any_database, **terminal)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert escaped.encode("latin-1") in ended.stdout


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Like `command`, with the output as bytes."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=ONE_SHOT_PATIENCE_S,
        start_new_session=True,
    )


def test_an_escaped_error_message_is_one_line(any_database: str, tmp_path: Path) -> None:
    missing = tmp_path / "o\u2019brien.toml"
    ended = run("services", "apply", str(missing), DATABASE_URL=any_database, **ASCII)
    assert ended.returncode == 2
    assert ended.stderr.count(b"\n") == 1
    assert b"o\\u2019brien.toml: there is no such file" in ended.stderr


def test_a_password_is_read_as_utf_8_on_any_terminal(any_database: str) -> None:
    def add(name: str, password: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*COMMAND, "users", "add", name, f"{name}@example.com", "--password-stdin"],
            env=environment(DATABASE_URL=any_database, **ASCII),
            input=password,
            capture_output=True,
            timeout=ONE_SHOT_PATIENCE_S,
        )

    assert add("kim", "gr\u00fcne Wiese\n".encode()).returncode == 0
    refused = add("lee", b"gr\xfcne Wiese\n")
    assert (refused.returncode, refused.stderr) == (1, b"sla-monitor: the password is not UTF-8\n")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (services_toml([service("shop", "ftp://shop.example/")]), ("service 'shop'", "endpointUrl: ")),
        (services_toml([service("shop", "http://a/", intervalSeconds=0)]), ("service 'shop'", "intervalSeconds: ")),
        (services_toml([service("shop", "http://a/", colour="red")]), ("service 'shop'", "colour")),
        (services_toml([service("Shop!", "http://a/")]), ("service 'Shop!'", "id: ")),
        ('[[service]]\nname = "Nameless"', ("service number 1", "id: is required; endpointUrl: is required")),
        ("[[service]\n", ("line 1",)),
        ("", None),
    ],
    ids=["url", "interval", "unknown field", "id", "no URL", "no toml", "no file"],
)
def test_an_error_in_the_services_file_is_one_line_and_changes_nothing(
    any_database: str, tmp_path: Path, text: str, parts: tuple[str, ...] | None
) -> None:
    file = tmp_path / "services.toml"
    if parts is not None:
        file.write_text(text)
    ended = command("services", "apply", str(file), DATABASE_URL=any_database)
    assert_one_line(ended, 2, str(file), *(parts or ("there is no such file",)))
    with psycopg.connect(any_database) as connection:
        assert connection.execute("SELECT count(*) FROM services").fetchone() == (0,)


def test_services_of_a_database_without_a_schema_are_an_error(empty_database: str) -> None:
    ended = command("services", "list", DATABASE_URL=empty_database)
    assert_one_line(ended, 1, "no schema yet", "sla-monitor migrate")


# migrate


def test_migrate_lists_the_applied_migrations_and_then_none(empty_database: str) -> None:
    first = command("migrate", DATABASE_URL=empty_database)
    assert first.returncode == 0
    assert "applied migrations/0001_services" in first.stdout
    second = command("migrate", DATABASE_URL=empty_database)
    assert second.returncode == 0
    assert second.stdout.startswith("the schema is up to date, on ")
    listed = command("services", "list", DATABASE_URL=empty_database)
    assert len(listed.stdout.splitlines()) == 7


# sla


def test_sla_policies_are_applied_from_a_file_and_exported(database: str, tmp_path: Path) -> None:
    file = tmp_path / "sla.toml"
    file.write_text('[[policies]]\nscope = "tag"\nsubject = "EU west"\nname = "Gold"\ntarget = 99.9\n')
    applied = command("sla", "apply", str(file), DATABASE_URL=database)
    assert (applied.returncode, applied.stdout, applied.stderr) == (0, "tag EU west applied\n", "")
    again = command("sla", "apply", str(file), DATABASE_URL=database)
    assert again.stdout == "no changes: the SLA policies match sla.toml\n"
    for form, name in (("toml", "sla.toml"), ("openslo", "slo.yaml")):
        exported = command("sla", "export", "--format", form, DATABASE_URL=database)
        assert (exported.returncode, exported.stderr) == (0, "")
        (tmp_path / name).write_text(exported.stdout)
        unchanged = command("sla", "apply", str(tmp_path / name), DATABASE_URL=database)
        with psycopg.connect(database) as connection:
            rows = connection.execute("SELECT version, declared_in FROM sla_policy_versions, sla_policies").fetchall()
        assert (unchanged.returncode, rows) == (0, [(1, name)])


def test_an_error_in_a_file_with_sla_policies_is_one_line(any_database: str, tmp_path: Path) -> None:
    file = tmp_path / "sla.toml"
    file.write_text('[[policies]]\nscope = "tag"\nname = "Gold"\ntarget = 101\n')
    ended = command("sla", "apply", str(file), DATABASE_URL=any_database)
    assert_one_line(ended, 2, str(file), "policies[0].target: ", "policies[0].subject: is required")
