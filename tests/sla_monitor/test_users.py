"""`sla-monitor users`, and the first admin of a new installation."""

import io
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
import pytest

from api.auth.passwords import Passwords
from sla_monitor.command import cli, first_admin, users
from sla_monitor.command.first_admin import create_first_admin, introduce_first_admin
from sla_monitor.command.installation import print_table
from sla_monitor.settings import Settings, StartError
from sql import connect
from tests.e2e.program import command
from tests.sql.batches import until_true

pytestmark = pytest.mark.one_engine
WAITS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def settings_of(database: str) -> Settings:
    return msgspec.structs.replace(Settings(), database_url=database)


async def fetch(database: str, statement: str) -> list[tuple[Any, ...]]:
    async with await connect(database, application="test") as connection:
        return await (await connection.execute(statement.encode())).fetchall()


# The first admin


async def test_one_of_five_concurrent_starts_creates_the_first_admin(database: str, cheap: Passwords) -> None:
    passwords: list[str | None] = []

    async def start() -> None:
        passwords.append(await create_first_admin(database))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(start)
    [password] = [password for password in passwords if password is not None]
    [(name, role, active, stored)] = await fetch(
        database, "SELECT username, role::text, active, password_hash FROM users"
    )
    assert (name, role, active) == ("admin", "admin", True)
    assert await cheap.verify(password, stored)
    assert await create_first_admin(database) is None


async def test_a_start_waits_for_a_concurrent_one_and_creates_no_second_admin(database: str, cheap: Passwords) -> None:
    created: list[str | None] = []

    async def start() -> None:
        created.append(await create_first_admin(database))

    async with (
        await connect(database, application="test") as other,
        anyio.create_task_group() as group,
        other.transaction(),
    ):
        await other.execute("SELECT create_first_admin('admin', 'admin@localhost', 'none')")
        group.start_soon(start)
        await until_true(other, WAITS)
        assert created == []
    assert created == [None]


async def test_the_password_of_the_first_admin_is_shown_once(
    database: str, cheap: Passwords, capsys: pytest.CaptureFixture[str]
) -> None:
    await introduce_first_admin(database)
    printed = capsys.readouterr().out
    [(stored,)] = await fetch(database, "SELECT password_hash FROM users")
    [password] = [word for word in printed.split() if word.count("-") == 3]
    assert await cheap.verify(password, stored)
    await introduce_first_admin(database)
    assert capsys.readouterr().out == ""


async def test_no_first_admin_is_created_if_there_is_a_user(database: str, cheap: Passwords) -> None:
    await users.add_user(settings_of(database), "kim", "kim@example.com", "viewer", read_password=False)
    assert await create_first_admin(database) is None
    assert await fetch(database, "SELECT username FROM users") == [("kim",)]


def test_migrate_shows_the_first_password_once(empty_database: str) -> None:
    first = command("migrate", DATABASE_URL=empty_database)
    assert "'admin', an admin. Password: " in first.stdout
    assert "password" not in command("migrate", DATABASE_URL=empty_database).stdout


# sla-monitor users


async def test_a_user_is_added_with_a_generated_password(
    database: str, cheap: Passwords, capsys: pytest.CaptureFixture[str]
) -> None:
    await users.add_user(settings_of(database), "kim", "kim@example.com", "reporter", read_password=False)
    added, shown = capsys.readouterr().out.splitlines()
    assert added == "kim added, reporter"
    [(email, role, stored)] = await fetch(database, "SELECT email, role::text, password_hash FROM users")
    assert (email, role) == ("kim@example.com", "reporter")
    assert await cheap.verify(shown.removeprefix("password: "), stored)


async def test_a_given_password_is_read_and_not_shown(
    database: str, cheap: Passwords, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    await users.add_user(settings_of(database), "kim", "kim@example.com", "viewer", read_password=True)
    assert capsys.readouterr().out == "kim added, viewer\n"
    [(stored,)] = await fetch(database, "SELECT password_hash FROM users")
    assert await cheap.verify("correct horse battery", stored)


@pytest.mark.parametrize(
    ("name", "email", "password", "message"),
    [
        ("k m", "kim@example.com", "long enough it is", "username"),
        ("kim\n", "kim@example.com", "long enough it is", "username"),
        ("kim", "kim", "long enough it is", "email"),
        ("kim", "kim@exa\u202emple.com", "long enough it is", "email"),
        ("kim", "kim@example.com", "short", "^password: must have at least 10 characters$"),
        ("kim", "kim@example.com", "x" * 201, "^password: must have at most 200 characters$"),
        ("kim", "kim@example.com", "Kim@Example.com", "password: must not be the user name or the e-mail"),
    ],
)
async def test_invalid_values_are_refused_with_one_line(
    database: str, monkeypatch: pytest.MonkeyPatch, name: str, email: str, password: str, message: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    with pytest.raises(StartError, match=message) as refused:
        await users.add_user(settings_of(database), name, email, "viewer", read_password=True)
    assert len(str(refused.value).splitlines()) == 1
    assert await fetch(database, "SELECT FROM users") == []


async def test_names_are_compared_without_case(database: str, cheap: Passwords) -> None:
    settings = settings_of(database)
    await users.add_user(settings, "kim", "kim@example.com", "viewer", read_password=False)
    with pytest.raises(StartError, match="this username already"):
        await users.add_user(settings, "KIM", "other@example.com", "viewer", read_password=False)
    with pytest.raises(StartError, match="this email already"):
        await users.add_user(settings, "other", "KIM@example.com", "viewer", read_password=False)


async def test_a_new_password_ends_the_sessions(
    database: str, cheap: Passwords, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(database)
    await users.add_user(settings, "kim", "kim@example.com", "viewer", read_password=False)
    await fetch(
        database,
        "INSERT INTO sessions (user_id, expires_at) SELECT id, now() + interval '1 day' FROM users RETURNING id",
    )
    capsys.readouterr()
    await users.set_password(settings, "KIM@example.com", read_password=False)
    added, shown = capsys.readouterr().out.splitlines()
    assert added == "kim has a new password, and is logged out everywhere"
    [(stored, ended)] = await fetch(
        database, "SELECT password_hash, revoked_at IS NOT NULL FROM users JOIN sessions ON user_id = users.id"
    )
    assert ended
    assert await cheap.verify(shown.removeprefix("password: "), stored)


async def test_changes_are_in_the_audit_log_with_the_operator_as_actor(database: str, cheap: Passwords) -> None:
    settings = settings_of(database)
    await users.add_user(settings, "kim", "kim@example.com", "viewer", read_password=False)
    await users.change_user(settings, "kim", "now has the role reporter", role="reporter")
    await users.change_user(settings, "kim", "is disabled", active=False)
    assert await fetch(database, "SELECT role::text, active FROM users") == [("reporter", False)]
    await users.change_user(settings, "kim", "is enabled", active=True)
    entries = await fetch(database, "SELECT actor_kind, action, after FROM audit_entries ORDER BY id")
    assert [(kind, action) for kind, action, _ in entries] == [("operator", "create")] + 3 * [("operator", "update")]
    assert [after for _, _, after in entries[1:]] == [{"role": "reporter"}, {"active": False}, {"active": True}]


@pytest.mark.parametrize("given", [{"role": "viewer"}, {"active": False}])
async def test_the_last_active_admin_cannot_be_changed(database: str, cheap: Passwords, given: dict[str, Any]) -> None:
    settings = settings_of(database)
    await create_first_admin(database)
    await users.add_user(settings, "gone", "gone@example.com", "admin", read_password=False)
    await users.change_user(settings, "gone", "is disabled", active=False)
    with pytest.raises(StartError, match="the last active admin"):
        await users.change_user(settings, first_admin.USERNAME, "is changed", **given)
    assert await fetch(database, "SELECT role::text, active FROM users WHERE username = 'admin'") == [("admin", True)]


@pytest.mark.parametrize(
    "change",
    [
        lambda settings: users.change_user(settings, "nobody", "is disabled", active=False),
        lambda settings: users.set_password(settings, "nobody", read_password=False),
    ],
)
async def test_an_unknown_user_is_named(database: str, change: Callable[[Settings], Awaitable[None]]) -> None:
    with pytest.raises(StartError, match="there is no user 'nobody'"):
        await change(settings_of(database))


def test_the_output_of_the_command(
    database: str, cheap: Passwords, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)

    def output(*words: str, code: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["sla-monitor", "users", *words])
        assert cli._main() == code
        captured = capsys.readouterr()
        return captured.out if code == 0 else captured.err

    assert output("add", "ann", "ann@example.com", "--role", "admin").startswith("ann added, admin\npassword: ")
    assert output("add", "kim", "kim@example.com").startswith("kim added, viewer\npassword: ")
    assert output("role", "kim", "reporter") == "kim now has the role reporter\n"
    assert output("passwd", "kim").startswith("kim has a new password, and is logged out everywhere\npassword: ")
    assert output("disable", "kim@example.com") == "kim is disabled\n"
    assert [line.split() for line in output("list").splitlines()] == [
        ["name", "e-mail", "role", "active", "last", "login"],
        ["ann", "ann@example.com", "admin", "yes", "-"],
        ["kim", "kim@example.com", "reporter", "no", "-"],
    ]
    assert output("enable", "kim") == "kim is enabled\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse battery\n"))
    assert output("passwd", "kim", "--password-stdin") == "kim has a new password, and is logged out everywhere\n"
    error = output("disable", "nobody", code=1)
    assert error == "sla-monitor: there is no user 'nobody': `sla-monitor users list` shows them\n"
    with pytest.raises(SystemExit):
        output("role", "kim", "emperor")


def test_control_characters_in_a_table_are_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "text"), [("kim", "\x1b[2J\u202ex"), ("a", None)])
    assert capsys.readouterr().out == "name  text\nkim   ?[2J?x\na     None\n"


def test_users_need_a_schema(empty_database: str) -> None:
    ended = command("users", "list", DATABASE_URL=empty_database)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "no schema yet" in ended.stderr
