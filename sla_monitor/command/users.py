"""`sla-monitor users`: manages users on the command line, also if no admin can log in.

A password is never an argument, because arguments are visible to all users of the machine. It is generated and printed,
or read from the standard input.
"""

import getpass
import io
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from msgspec import UNSET, UnsetType
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from api.auth import users
from api.auth.passwords import Passwords, new_password
from api.auth.permissions import Role
from api.rest.errors import ApiError
from api.rest.validation import converted
from sla_monitor.command.installation import installation, print_table
from sla_monitor.settings import Settings, StartError
from sql import query
from sql.database import Actor, act_as

APPLICATION = "sla-monitor users"
_Connection = AsyncConnection[TupleRow]


class UserError(StartError):
    """A user cannot be created or changed. The text is one line."""


async def list_users(settings: Settings) -> None:
    """Prints one line for each user."""
    async with installation(settings, APPLICATION) as (_, connection):
        rows = await (await connection.execute(query("users/listing"))).fetchall()
    print_table(("name", "e-mail", "role", "active", "last login"), rows)


async def add_user(settings: Settings, username: str, email: str, role: Role, *, read_password: bool) -> None:
    """Adds a user. Prints the password if it was generated."""
    given = _read_password() if read_password else UNSET
    new = _checked(username, email, role, given)
    password = new_password() if given is UNSET else given
    password_hash = await Passwords().hash(password)
    async with _operating(settings) as connection:
        await users.insert(connection, new, password_hash)
    print(f"{username} added, {role}")
    if given is UNSET:
        print(f"password: {password}")


async def set_password(settings: Settings, login: str, *, read_password: bool) -> None:
    """Sets a new password, and ends all sessions of the user."""
    password = _read_password() if read_password else new_password()
    async with _operating(settings) as connection:
        current = await _user(connection, login)
        _checked(current.username, current.email, current.role, password)
        await users.update(connection, current.id, password_hash=await Passwords().hash(password))
    print(f"{current.username} has a new password, and is logged out everywhere")
    if not read_password:
        print(f"password: {password}")


async def change_user(settings: Settings, login: str, outcome: str, **given: Any) -> None:
    """Changes the role of a user, or disables or enables it. Prints the `outcome`. It takes effect at once."""
    async with _operating(settings) as connection:
        current = await _user(connection, login)
        await users.update(connection, current.id, **given)
    print(f"{current.username} {outcome}")


@asynccontextmanager
async def _operating(settings: Settings) -> AsyncIterator[_Connection]:
    """A transaction whose actor in the audit log is the operator. A refusal is raised as UserError."""
    operator = Actor("operator", None, _operator())
    try:
        async with installation(settings, APPLICATION) as (_, connection), connection.transaction():
            await act_as(connection, operator)
            yield connection
    except ApiError as error:
        _refuse(error)


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container whose user has no name
        return f"user {os.getuid()}"


async def _user(connection: _Connection, login: str) -> users.StoredUser:
    async with connection.cursor(row_factory=class_row(users.StoredUser)) as cursor:
        await cursor.execute(query("users/by_name"), {"login": login})
        row = await cursor.fetchone()
    if row is not None:
        return row
    raise UserError(f"there is no user {login!r}: `sla-monitor users list` shows them")


def _checked(username: str, email: str, role: Role, password: str | UnsetType) -> users.NewUser:
    """The validated values, by the rules of REST. Raises UserError."""
    given = {"username": username, "email": email, "role": role, "password": password}
    try:
        new = converted({name: value for name, value in given.items() if value is not UNSET}, users.NewUser)
        users.require_valid(username, email, password)
    except ApiError as error:
        _refuse(error)
    return new


def _refuse(error: ApiError) -> NoReturn:
    raise UserError(str(error)) from None


def _read_password() -> str:
    """Reads one line: from the terminal without echo, or from a pipe."""
    try:
        if sys.stdin.isatty():
            return getpass.getpass("new password: ")
        if isinstance(sys.stdin, io.TextIOWrapper):  # UTF-8 as browsers send it, whatever the locale is
            line: bytes = sys.stdin.buffer.readline()
            return line.decode().rstrip("\r\n")
        return sys.stdin.readline().rstrip("\n")
    except UnicodeDecodeError:
        raise UserError("the password is not UTF-8") from None
