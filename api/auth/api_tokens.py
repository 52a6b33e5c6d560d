"""API tokens for programs. A token has a name and a role; its secret is shown once and stored as a hash.

A token never has more permissions than its owner currently has, and is deleted with its owner
(sql/queries/accounts/by_token.sql).
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.params import JSONBody, PathParameter
from msgspec import Meta
from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation
from psycopg.rows import TupleRow, class_row

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import API_TOKEN_PREFIX, ROLES, Principal, Role, requires, unauthorized
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.rest.constraints import constraint_errors
from api.rest.errors import BODY_ERRORS, ApiError, raise_problems
from api.rest.injected import Injected
from api.rest.moments import iso, iso_or_none
from api.rest.pagination import PageNumber, PageSize, Pagination, read_page
from api.rest.problems import FieldProblem
from api.rest.texts import line_problems, uuid_or_none
from sql import Pool, database
from sql.database import Actor

CACHEABLE: tuple[Cacheable, ...] = ()
MAX_LIFETIME = timedelta(days=10 * 366)
"""The limit of `expiresAt`, from now. A token without `expiresAt` does not expire."""
MAX_TOKENS = 100
"""The limit for one owner. Revoked tokens do not count."""
TokenPath = Annotated[str, PathParameter(description="The id of an API token")]


class NewApiToken(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """`expiresAt`: an RFC 3339 time in the future, at most ten years ahead; null means never."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    role: Role
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class Owner(msgspec.Struct):
    """The user to whom an API token belongs."""

    id: UUID
    username: str


class ApiToken(msgspec.Struct, rename="camel", kw_only=True):
    """A token without its secret. `lastUsedAt` is exact to the minute; `lastUsedFrom` is the address of that client."""

    id: UUID
    name: str
    role: Role
    owner: Owner
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    last_used_from: str | None
    revoked_at: str | None


class NewApiTokenResponse(msgspec.Struct):
    """`secret`: the token to send in `Authorization: Bearer …`. It is shown only in this response."""

    token: ApiToken
    secret: str


class ApiTokenList(msgspec.Struct):
    tokens: list[ApiToken]
    pagination: Pagination


class StoredApiToken(msgspec.Struct, kw_only=True):
    """A row of `api_tokens`, with the name of its owner."""

    id: UUID
    name: str
    role: Role
    owner_id: UUID
    owner_name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None
    revoked_at: datetime | None

    def published(self) -> ApiToken:
        return ApiToken(
            id=self.id,
            name=self.name,
            role=self.role,
            owner=Owner(self.owner_id, self.owner_name),
            created_at=iso(self.created_at),
            expires_at=iso_or_none(self.expires_at),
            last_used_at=iso_or_none(self.last_used_at),
            last_used_from=self.last_used_from,
            revoked_at=iso_or_none(self.revoked_at),
        )


@get(
    "/tokens",
    summary="List API tokens",
    **requires("tokens:administer", 400),
)
async def list_tokens(pool: Injected[Pool], page: PageNumber = 1, limit: PageSize = 20) -> ApiTokenList:
    """The tokens of all users, newest first, including revoked ones."""
    return await listing(pool, page, limit)


@post(
    "/tokens",
    summary="Create an API token",
    **requires("tokens:administer", 409, *BODY_ERRORS),
)
async def create_token(
    request: ApiRequest, pool: Injected[Pool], data: JSONBody[NewApiToken]
) -> Response[NewApiTokenResponse]:
    """403 for a role above the user's own. 409 if the user already has a token of that name, or 100 tokens."""
    return Response(await create(pool, principal_of(request), actor(request), data), status_code=201)


@delete(
    "/tokens/{token_id:str}",
    summary="Revoke an API token",
    **requires("tokens:administer", 400, 404),
)
async def revoke_token(
    request: ApiRequest,
    pool: Injected[Pool],
    token_id: TokenPath,
) -> None:
    """Takes effect at once and cannot be undone. The token stays in the list. Revoking it again changes nothing."""
    await revoke(pool, actor(request), token_id)


async def listing(pool: Pool, page: int, limit: int) -> ApiTokenList:
    """One page of the tokens, newest first."""
    rows, pagination = await read_page(pool, "api_tokens", StoredApiToken, page, limit)
    return ApiTokenList([row.published() for row in rows], pagination)


async def create(pool: Pool, owner: Principal, by: Actor, data: NewApiToken) -> NewApiTokenResponse:
    """Creates a token. Raises 400 for invalid values, 403 for a role above the owner's, 409 if the name is taken or the
    owner has `MAX_TOKENS`."""
    _require_valid(data)
    if ROLES.index(data.role) > ROLES.index(owner.role):
        raise ApiError(403, "role_of_token", role=owner.role, wanted=data.role)
    secret = API_TOKEN_PREFIX + secrets.token_urlsafe(32)
    values = msgspec.structs.asdict(data) | {
        "owner_id": owner.user_id,
        "token_hash": hashlib.sha256(secret.encode()).digest(),
    }
    try:
        async with database.transaction(pool, by) as connection:
            await _require_below_limit(connection, owner.user_id)
            with constraint_errors():
                async with connection.cursor(row_factory=class_row(StoredApiToken)) as cursor:
                    await cursor.execute(sql.query("api_tokens/create"), values)
                    created = await cursor.fetchone()
    except ForeignKeyViolation:  # the user was deleted after the request was authorised
        raise unauthorized("logged_out") from None
    if created is None:
        raise ApiError(409, "token_exists", [FieldProblem.of("name", "taken")])
    return NewApiTokenResponse(created.published(), secret)


async def revoke(pool: Pool, by: Actor, token_id: str) -> None:
    """Revokes a token. Revoking it again changes nothing. Raises 404 if there is no such token."""
    async with database.transaction(pool, by) as connection:
        revoked = await connection.execute(sql.query("api_tokens/revoke"), {"id": uuid_or_none(token_id)})
    if not revoked.rowcount:
        raise ApiError(404, "unknown_token")


async def _require_below_limit(connection: AsyncConnection[TupleRow], owner_id: UUID) -> None:
    """Raises 409 if the owner has `MAX_TOKENS`. Locks the owner, since concurrent transactions do not see each other's
    tokens."""
    await connection.execute("SELECT FROM users WHERE id = %s FOR NO KEY UPDATE", [owner_id])
    row = await (await connection.execute(sql.query("api_tokens/count_of_owner"), {"owner_id": owner_id})).fetchone()
    if row is None or row[0] >= MAX_TOKENS:
        raise ApiError(409, "too_many_tokens", most=MAX_TOKENS)


def _require_valid(data: NewApiToken) -> None:
    problems = line_problems("name", data.name)
    now = datetime.now(UTC)
    if data.expires_at is not None and not now < data.expires_at < now + MAX_LIFETIME:
        problems.append(FieldProblem.of("expiresAt", "ten_years"))
    raise_problems(problems)


router = Router("/api", route_handlers=[list_tokens, create_token, revoke_token], tags=["accounts"])
