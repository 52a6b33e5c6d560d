"""The audit log: actor, address, action and object of every change, with the values before and after."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, get
from litestar.params import QueryParameter
from msgspec import Meta

from api.auth.permissions import requires
from api.cache.entries import Cacheable
from api.rest.errors import raise_problems
from api.rest.injected import Injected
from api.rest.moments import MAX_CHARACTERS, FromMoment, ToMoment, iso, read_moment
from api.rest.pagination import PageNumber, PageSize, Pagination, read_page
from api.rest.problems import camel
from api.rest.texts import text_problems
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
ObjectType = Annotated[
    str | None,
    QueryParameter(name="objectType", max_length=50, description="The type of the object, such as `incident`"),
]
ObjectId = Annotated[str | None, QueryParameter(name="objectId", max_length=200, description="The id of the object")]


class AuditActor(msgspec.Struct):
    """The user or API token that made a change. `id`: the id of the user or of the token's owner. `name`: the name at
    the time of the change."""

    kind: str
    id: UUID | None
    name: str


class AuditEntry(msgspec.Struct, rename="camel"):
    """One change. `before` and `after`: the columns that differ, with their names in the database; secrets are `***`.
    `objectName`: the name of a user or of an SLA policy, the reason of a correction; null for other objects."""

    id: int
    occurred_at: str
    actor: AuditActor
    address: str | None
    request_id: str | None
    action: str
    object_type: str
    object_id: str
    object_name: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditLog(msgspec.Struct):
    entries: list[AuditEntry]
    pagination: Pagination


class AuditFilters(msgspec.Struct, rename="camel", kw_only=True):
    """The filters of the log. None means no filter. `actor`: a name or the id of a user. `from_` and `to`: RFC 3339
    times."""

    actor: Annotated[str, Meta(max_length=200)] | None = None
    object_type: Annotated[str, Meta(max_length=50)] | None = None
    object_id: Annotated[str, Meta(max_length=200)] | None = None
    action: Annotated[str, Meta(max_length=50)] | None = None
    from_: Annotated[str, Meta(max_length=MAX_CHARACTERS)] | None = msgspec.field(default=None, name="from")
    to: Annotated[str, Meta(max_length=MAX_CHARACTERS)] | None = None


class EntryRow(msgspec.Struct):
    """A row of the query audit/page."""

    id: int
    occurred_at: datetime
    actor_kind: str
    actor_id: UUID | None
    actor: str
    address: str | None
    request_id: str | None
    action: str
    object_type: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    object_name: str | None

    def published(self) -> AuditEntry:
        return AuditEntry(
            id=self.id,
            occurred_at=iso(self.occurred_at),
            actor=AuditActor(self.actor_kind, self.actor_id, self.actor),
            address=self.address,
            request_id=self.request_id,
            action=self.action,
            object_type=self.object_type,
            object_id=self.object_id,
            object_name=self.object_name,
            before=self.before,
            after=self.after,
        )


@get(
    "/audit",
    summary="List the entries of the audit log",
    **requires("audit:read", 400),
)
async def audit_log(
    pool: Injected[Pool],
    actor: Annotated[str | None, QueryParameter(max_length=200, description="A name, or the id of a user")] = None,
    object_type: ObjectType = None,
    object_id: ObjectId = None,
    action: Annotated[str | None, QueryParameter(max_length=50, description="The action, such as `update`")] = None,
    from_: FromMoment = None,
    to: ToMoment = None,
    page: PageNumber = 1,
    limit: PageSize = 50,
) -> AuditLog:
    """The entries that pass all filters, newest first."""
    wanted = AuditFilters(actor=actor, object_type=object_type, object_id=object_id, action=action, from_=from_, to=to)
    return await entries(pool, wanted, page, limit)


async def entries(pool: Pool, wanted: AuditFilters, page: int, limit: int) -> AuditLog:
    """One page of the entries that pass the filters, newest first. Raises 400 for an invalid filter."""
    texts = {name: getattr(wanted, name) for name in ("actor", "object_type", "object_id", "action")}
    raise_problems([problem for name, text in texts.items() for problem in text_problems(camel(name), text)])
    filters = texts | {"start": read_moment("from", wanted.from_), "end": read_moment("to", wanted.to)}
    rows, pagination = await read_page(pool, "audit", EntryRow, page, limit, **filters)
    return AuditLog([row.published() for row in rows], pagination)


router = Router("/api", route_handlers=[audit_log], tags=["administration"])
