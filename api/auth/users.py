"""Administration of users over REST and by the console. sla_monitor/command/users.py does the same without the API."""

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import UNSET, Meta, UnsetType
from psycopg.rows import class_row

import sql
from api.auth.gatekeeper import actor
from api.auth.passwords import NewPassword, Passwords, new_password, password_problems
from api.auth.permissions import Role, requires
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.rest.constraints import constraint_errors
from api.rest.errors import BODY_ERRORS, ApiError, raise_problems
from api.rest.injected import Injected
from api.rest.moments import iso, iso_or_none
from api.rest.pagination import PageNumber, PageSize, Pagination, read_page
from api.rest.problems import PROBLEM, FieldProblem
from api.rest.texts import text_problems, uuid_or_none
from sql import Pool, database
from sql.database import Actor, Connection

CACHEABLE: tuple[Cacheable, ...] = ()
_USERNAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,49}"
_EMAIL = r"[^@\s]+@[^@\s]+"
Username = Annotated[
    str,
    Meta(
        pattern=f"^{_USERNAME}$",
        description="Letters, digits, dots, hyphens and underscores; begins with a letter or digit; at most 50",
        extra={PROBLEM: "username"},
    ),
]
Email = Annotated[str, Meta(pattern=f"^{_EMAIL}$", max_length=100, extra={PROBLEM: "email"})]
UserPath = Annotated[str, PathParameter(description="The id of a user")]
_UNCHANGED: dict[str, None] = dict.fromkeys(("username", "email", "role", "active", "password_hash"))


class UserChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The fields to change. Other fields stay unchanged. A new password ends all sessions of the user."""

    username: Username | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    password: NewPassword | UnsetType = UNSET


class NewUser(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`password`: 10 to 200 characters. If it is missing, one is generated."""

    username: Username
    email: Email
    role: Role
    password: NewPassword | UnsetType = UNSET


class User(msgspec.Struct, rename="camel", kw_only=True):
    """A user. A user who is not `active` cannot log in."""

    id: UUID
    username: str
    email: str
    role: Role
    active: bool
    created_at: str
    last_login_at: str | None


class UserResponse(msgspec.Struct):
    user: User


class NewUserResponse(msgspec.Struct):
    """`password`: the generated password, which is shown only in this response; null if the request contained one."""

    user: User
    password: str | None = None


class UserList(msgspec.Struct):
    users: list[User]
    pagination: Pagination


class StoredUser(msgspec.Struct, kw_only=True):
    """A row of `users`, without the password hash."""

    id: UUID
    username: str
    email: str
    role: Role
    active: bool
    created_at: datetime
    last_login_at: datetime | None

    def published(self) -> User:
        times = {"created_at": iso(self.created_at), "last_login_at": iso_or_none(self.last_login_at)}
        return User(**msgspec.structs.asdict(self) | times)


@get(
    "/users",
    summary="List users",
    **requires("users:administer", 400),
)
async def list_users(
    pool: Injected[Pool],
    search: Annotated[str, QueryParameter(max_length=100, description="A part of the name or address")] = "",
    role: Annotated[Role | None, QueryParameter(description="Only users with this role")] = None,
    active: Annotated[bool | None, QueryParameter(description="Only active or only disabled users")] = None,
    page: PageNumber = 1,
    limit: PageSize = 20,
) -> UserList:
    """Sorted by user name. `search`: a part of the user name or e-mail address, without regard to case."""
    raise_problems(text_problems("search", search))
    return await listing(pool, page, limit, search, role, active)


@get(
    "/users/{user_id:str}",
    summary="Get a user",
    **requires("users:administer", 400, 404),
)
async def get_user(pool: Injected[Pool], user_id: UserPath) -> UserResponse:
    """All fields of a user, without the password and its hash."""
    return UserResponse((await one(pool, user_id)).published())


@post(
    "/users",
    summary="Create a user",
    **requires("users:administer", 409, *BODY_ERRORS),
)
async def create_user(
    request: ApiRequest, pool: Injected[Pool], passwords: Injected[Passwords], data: JSONBody[NewUser]
) -> Response[NewUserResponse]:
    """409 if the user name or e-mail address is taken, without regard to case. Without `password`, the response
    contains a generated one."""
    created = await create(pool, passwords, actor(request), data)
    return Response(created, status_code=201, headers={"Location": f"/api/users/{created.user.id}"})


@patch(
    "/users/{user_id:str}",
    summary="Change a user",
    **requires("users:administer", 404, 409, *BODY_ERRORS),
)
async def change_user(
    request: ApiRequest,
    pool: Injected[Pool],
    passwords: Injected[Passwords],
    user_id: UserPath,
    data: JSONBody[UserChange],
) -> UserResponse:
    """Fields that are not in the body stay unchanged. Takes effect at once, also on open WebSockets. 409 if the user
    name or e-mail address is taken, or if no active admin would remain."""
    return UserResponse((await change(pool, passwords, actor(request), user_id, data)).published())


@delete(
    "/users/{user_id:str}",
    summary="Delete a user",
    **requires("users:administer", 400, 404, 409),
)
async def delete_user(request: ApiRequest, pool: Injected[Pool], user_id: UserPath) -> None:
    """Also deletes the sessions and API tokens of the user. Incidents and comments keep the name of the author. 409 for
    the last active admin."""
    await remove(pool, actor(request), user_id)


async def listing(
    pool: Pool, page: int, limit: int, search: str = "", role: Role | None = None, active: bool | None = None
) -> UserList:
    """One page of the users, sorted by name."""
    filters = {"search": search, "role": role, "active": active}
    rows, pagination = await read_page(pool, "users", StoredUser, page, limit, **filters)
    return UserList([row.published() for row in rows], pagination)


async def one(pool: Pool, user_id: str) -> StoredUser:
    """The user with this id. Raises 404 if there is none."""
    return _found(await database.row(pool, "users/one", StoredUser, id=uuid_or_none(user_id)))


async def create(pool: Pool, passwords: Passwords, by: Actor, data: NewUser) -> NewUserResponse:
    """Creates a user. Raises 400 for invalid values, 409 if user name or e-mail address is taken."""
    require_valid(data.username, data.email, data.password)
    password = new_password() if data.password is UNSET else data.password
    password_hash = await passwords.hash(password)
    async with database.transaction(pool, by) as connection:
        row = await insert(connection, data, password_hash)
    return NewUserResponse(row.published(), password if data.password is UNSET else None)


async def change(pool: Pool, passwords: Passwords, by: Actor, user_id: str, data: UserChange) -> StoredUser:
    """Changes a user. Raises 400 for invalid values, 404 if there is no such user, 409 if a name is taken or no active
    admin would remain."""
    current = await one(pool, user_id)
    username = current.username if data.username is UNSET else data.username
    require_valid(username, current.email if data.email is UNSET else data.email, data.password)
    given = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET}
    if "password" in given:
        given["password_hash"] = await passwords.hash(given.pop("password"))
    async with database.transaction(pool, by) as connection:
        return await update(connection, current.id, **given)


async def remove(pool: Pool, by: Actor, user_id: str) -> None:
    """Deletes a user. Raises 404 if there is no such user, 409 for the last active admin."""
    async with database.transaction(pool, by) as connection:
        with constraint_errors():
            removed = await connection.execute(sql.query("users/delete"), {"id": uuid_or_none(user_id)})
    if not removed.rowcount:
        raise _unknown()


async def insert(connection: Connection, new: NewUser, password_hash: str) -> StoredUser:
    """Stores a new user in the caller's transaction. Raises 409 if user name or e-mail address is taken."""
    values = {"username": new.username, "email": new.email, "role": new.role, "password_hash": password_hash}
    return _found(await _changed(connection, "users/create", values))


async def update(connection: Connection, user_id: UUID, **columns: Any) -> StoredUser:
    """Changes `columns` of a user in the caller's transaction. Raises 404 and 409 as `change` does."""
    return _found(await _changed(connection, "users/update", {**_UNCHANGED, **columns, "id": user_id}))


def require_valid(username: str, email: str, password: str | UnsetType) -> None:
    """Raises 400 for invalid values that the types accept: the `$` of their patterns allows a final line break."""
    found = [] if re.fullmatch(_USERNAME, username) else [FieldProblem.of("username", "username")]
    if not re.fullmatch(_EMAIL, email) or not email.isprintable():
        found.append(FieldProblem.of("email", "email"))
    if password is not UNSET:
        found += password_problems("password", password, username, email)
    raise_problems(found)


async def _changed(connection: Connection, name: str, values: dict[str, Any]) -> StoredUser | None:
    """Executes the query `name`. Returns the changed row, None if there is none. Raises 409 if a constraint is
    violated."""
    with constraint_errors():
        async with connection.cursor(row_factory=class_row(StoredUser)) as cursor:
            await cursor.execute(sql.query(name), values)
            return await cursor.fetchone()


def _found(row: StoredUser | None) -> StoredUser:
    if row is None:
        raise _unknown()
    return row


def _unknown() -> ApiError:
    return ApiError(404, "unknown_user")


router = Router("/api", route_handlers=[list_users, get_user, create_user, change_user, delete_user], tags=["accounts"])
