"""Comments on incidents. Users see all comments; anonymous clients see the public comments on public incidents."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter
from psycopg.errors import ForeignKeyViolation

import sql
from api.auth.gatekeeper import actor
from api.auth.permissions import Principal, authorise, requires, sees_internal
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.edge.limits import Limits
from api.incidents.fields import IncidentPath, Remark, is_incident_id
from api.incidents.records import not_found, visible
from api.rest.errors import BODY_ERRORS, ApiError, invalid
from api.rest.injected import Injected
from api.rest.texts import text_problems
from sla_monitor.settings.values import Limit
from sql import Pool, database
from sql.database import Actor

CACHEABLE: tuple[Cacheable, ...] = ()
MAX_ID = 2**63 - 1
RATE_LIMIT = Limit(60, timedelta(minutes=1))
"""The limit of new comments of one user."""
CommentPath = Annotated[int, PathParameter(description="The id of a comment")]


class NewComment(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new comment. It is internal unless `public` is true."""

    text: Remark
    public: bool = False


class Comment(msgspec.Struct, rename="camel", kw_only=True):
    """`userId` is null if the user has been deleted. `content`, `userName` and `timestamp` repeat `text`, `author` and
    `createdAt` for existing front ends."""

    id: int
    incident_id: str
    text: str
    content: str
    public: bool
    author: str | None
    user_name: str | None
    user_id: UUID | None
    created_at: str
    timestamp: str


class CommentResponse(msgspec.Struct):
    comment: Comment


class CommentList(msgspec.Struct):
    comments: list[Comment]


class CommentRow(msgspec.Struct):
    """The JSON of the SQL function `incident_comment_json`."""

    comment: dict[str, Any]

    def published(self) -> Comment:
        return msgspec.convert(self.comment, Comment)


@get(
    "/incidents/{incident_id:str}/comments",
    summary="List the comments on an incident",
    **requires("incidents:read", 400, 404),
)
async def list_comments(
    request: ApiRequest,
    pool: Injected[Pool],
    incident_id: IncidentPath,
    before: Annotated[int | None, QueryParameter(ge=1, le=MAX_ID, description="The id of a comment")] = None,
) -> CommentList:
    """The newest 1000 comments, oldest first; with `before`, the 1000 comments before that one. Anonymous clients get
    only public comments. 404 if the incident does not exist or the client may not see it."""
    await visible(pool, incident_id, request.user)
    return CommentList([row.published() for row in await listing(pool, incident_id, request.user, before)])


@post(
    "/incidents/{incident_id:str}/comments",
    summary="Comment on an incident",
    **requires("incidents:write", 404, *BODY_ERRORS),
)
async def add_comment(
    request: ApiRequest,
    pool: Injected[Pool],
    limits: Injected[Limits],
    incident_id: IncidentPath,
    data: JSONBody[NewComment],
) -> Response[CommentResponse]:
    """Users in the room of the incident get the event `incident-comment`. `Idempotency-Key` is ignored. 429 for more
    than 60 comments of one user in a minute."""
    comment = await add(pool, limits, principal_of(request), actor(request), incident_id, data)
    return Response(CommentResponse(comment), status_code=201)


@delete(
    "/incidents/{incident_id:str}/comments/{comment_id:int}",
    summary="Delete a comment",
    **requires("comments:delete", 400, 404),
)
async def delete_comment(
    request: ApiRequest,
    pool: Injected[Pool],
    incident_id: IncidentPath,
    comment_id: CommentPath,
) -> None:
    """Users can delete their own comments, admins any; 403 for others. The audit log keeps the text."""
    await remove(pool, principal_of(request), actor(request), incident_id, comment_id)


async def listing(
    pool: Pool, incident_id: str, principal: Principal | None, before: int | None = None
) -> list[CommentRow]:
    """The newest 1000 comments that `principal` may see, oldest first; with `before`, the 1000 before that one."""
    internal = sees_internal(principal)
    return await database.rows(
        pool, "comments/listing", CommentRow, incident_id=incident_id, internal=internal, before=before
    )


async def add(pool: Pool, limits: Limits, author: Principal, by: Actor, incident_id: str, data: NewComment) -> Comment:
    """Stores a comment and returns it. Raises 400 for an invalid text, 404 if there is no such incident, 429 for too
    many comments of one user."""
    if found := text_problems("text", data.text):
        raise invalid(*found)
    return msgspec.convert(await store(pool, limits, author, by, incident_id, data), Comment)


async def store(
    pool: Pool,
    limits: Limits,
    author: Principal,
    by: Actor,
    incident_id: str,
    data: NewComment,
    fields: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Stores a comment and returns its JSON. The caller has checked the text. `fields`: additional fields that are sent
    to the room of the incident with the comment and are not stored. Raises 404 and 429 as `add` does."""
    _require_id(incident_id)
    await limits.take("comments", str(author.user_id), RATE_LIMIT)
    values = {
        "incident_id": incident_id,
        "author_id": author.user_id,
        "author": author.name,
        "text": data.text,
        "public": data.public,
    }
    try:
        async with database.transaction(pool, by) as connection:
            if fields:
                encoded = msgspec.json.encode(fields).decode()
                await connection.execute(sql.query("comments/carry"), {"fields": encoded})
            row = await (await connection.execute(sql.query("comments/add"), values)).fetchone()
    except ForeignKeyViolation:
        raise not_found() from None
    assert row is not None
    comment: dict[str, Any] = row[0]
    return comment


async def remove(pool: Pool, principal: Principal, by: Actor, incident_id: str, comment_id: int) -> None:
    """Deletes a comment. Raises 403 for the comment of another user, unless `principal` is an admin; 404 if there is no
    such comment."""
    _require_id(incident_id)
    if not 0 < comment_id <= MAX_ID:
        raise ApiError(404, "unknown_comment")
    async with database.transaction(pool, by) as connection:
        values = {"incident_id": incident_id, "id": comment_id}
        row = await (await connection.execute(sql.query("comments/author"), values)).fetchone()
        if row is None:
            raise ApiError(404, "unknown_comment")
        authorise(principal, "comments:delete", owner_id=row[0])
        await connection.execute(sql.query("comments/delete"), {"id": comment_id})


def _require_id(incident_id: str) -> None:
    if not is_incident_id(incident_id):
        raise not_found()


router = Router("/api", route_handlers=[list_comments, add_comment, delete_comment], tags=["incidents"])
