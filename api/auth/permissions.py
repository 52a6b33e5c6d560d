"""Permissions: the table of actions and roles, and functions that check it, without network or database.

A route declares its action (`**requires("incidents:write")`), which also documents it. The application does not start
if a route declares none (`check_routes` in gatekeeper.py).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec
from litestar.openapi import ResponseSpec

from api.rest.errors import ApiError, error_responses
from sla_monitor.texts.problems import ProblemCode

Role = Literal["viewer", "reporter", "admin"]
Action = Literal[
    "status:read",
    "pages:read",
    "checks:read",
    "session:open",
    "session:read",
    "session:use",
    "incidents:read",
    "incidents:read-internal",
    "incidents:write",
    "incidents:delete",
    "drafts:write",
    "comments:delete",
    "templates:read",
    "templates:write",
    "templates:delete",
    "maintenance:read",
    "maintenance:write",
    "maintenance:delete",
    "sla:read",
    "sla:simulate",
    "corrections:read",
    "corrections:write",
    "sla-policies:read",
    "sla-policies:write",
    "services:list",
    "services:administer",
    "jobs:report",
    "users:administer",
    "tokens:administer",
    "settings:read",
    "audit:read",
    "rooms:join-public",
    "rooms:join-incident",
]
API_TOKEN_PREFIX = "slam_"  # noqa: S105  # a fixed prefix, so that scanners can find leaked tokens
ROLES: tuple[Role, ...] = get_args(Role)


class Rule(NamedTuple):
    """The rule for one action.

    `least`: the lowest role that may do it; None permits anonymous clients. `own`: the lowest role that may do it to
    the user's own objects. `personal`: anonymous clients may do it, but the response depends on the user, so a token is
    verified if one is sent.
    """

    least: Role | None
    own: Role | None = None
    personal: bool = False
    people_only: bool = False
    """API tokens may not do it: users and tokens that were created with a stolen token would outlive its revocation."""


RULES: Mapping[Action, Rule] = {
    "status:read": Rule(None),
    "pages:read": Rule(None, personal=True),
    "checks:read": Rule("reporter"),
    "session:open": Rule(None),
    "session:read": Rule("viewer"),
    "session:use": Rule("viewer", people_only=True),
    "incidents:read": Rule(None, personal=True),
    "incidents:read-internal": Rule("viewer"),
    "incidents:write": Rule("reporter"),
    "incidents:delete": Rule("admin"),
    "drafts:write": Rule("reporter"),
    "comments:delete": Rule("admin", own="reporter"),
    "templates:read": Rule("viewer"),
    "templates:write": Rule("reporter"),
    "templates:delete": Rule("admin", own="reporter"),
    "maintenance:read": Rule(None, personal=True),
    "maintenance:write": Rule("reporter"),
    "maintenance:delete": Rule("admin", own="reporter"),
    "sla:read": Rule(None, personal=True),
    "sla:simulate": Rule("reporter"),
    "corrections:read": Rule("reporter"),
    "corrections:write": Rule("reporter"),
    "sla-policies:read": Rule("reporter"),
    "sla-policies:write": Rule("admin"),
    "services:list": Rule(None),
    "jobs:report": Rule(None),
    "services:administer": Rule("admin"),
    "users:administer": Rule("admin", people_only=True),
    "tokens:administer": Rule("admin", people_only=True),
    "settings:read": Rule("admin"),
    "audit:read": Rule("admin"),
    "rooms:join-public": Rule(None),
    "rooms:join-incident": Rule("viewer"),
}


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated user, by a session or by an API token that belongs to the user."""

    user_id: UUID
    name: str
    role: Role
    session_id: UUID | None = None
    token_id: UUID | None = None
    expires_at: datetime | None = None

    @property
    def kind(self) -> Literal["user", "token"]:
        return "user" if self.token_id is None else "token"

    @property
    def actor_id(self) -> UUID:
        """The id of the API token if one was used, otherwise of the user."""
        return self.token_id or self.user_id


def allows(principal: Principal | None, action: Action, owner_id: UUID | None = None) -> bool:
    """Whether `principal` (None: anonymous) may do `action`; `owner_id`: the owner of the object, if it has one."""
    rule = RULES[action]
    if rule.least is None:
        return True
    if principal is None or (rule.people_only and principal.kind != "user"):
        return False
    owns = rule.own is not None and owner_id is not None and principal.user_id == owner_id
    least = rule.own if owns and rule.own is not None else rule.least
    return ROLES.index(principal.role) >= ROLES.index(least)


def sees_internal(principal: Principal | None) -> bool:
    """Whether the principal sees internal incidents, comments and maintenance windows, and private services."""
    return allows(principal, "incidents:read-internal")


def authorise(principal: Principal | None, action: Action, owner_id: UUID | None = None) -> None:
    """As `allows`, but raises 401 for an anonymous client and 403 for a role that is too low."""
    if allows(principal, action, owner_id):
        return
    if principal is None:
        raise unauthorized("log_in")
    if RULES[action].people_only and principal.kind != "user":
        raise ApiError(403, "people_only")
    raise ApiError(403, "role", role=principal.role)


def unauthorized(reason: ProblemCode) -> ApiError:
    """The 401, with the header that names the authentication scheme."""
    return ApiError(401, reason, headers={"WWW-Authenticate": 'Bearer realm="sla-monitor"'})


def requires(
    action: Action,
    *errors: int,
    responses: Mapping[int, ResponseSpec] | None = None,
    limited: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """The arguments of a route that needs an action: `@get("/incidents/{id:str}", **requires("incidents:read", 404))`.

    `errors`: the statuses of its errors. Those that follow from the action (401, 403) and, unless `limited` is false,
    from the rate limit and the database (429, 503) are added. `responses`: further responses for the OpenAPI document.
    `options`: further entries of `opt`.
    """
    rule = RULES[action]
    statuses = {*errors, *((429, 503) if limited else ())}
    security: list[dict[str, list[str]]] = [{}]
    if rule.least is not None:
        security, statuses = [{"bearer": []}], statuses | {401, 403}
    elif rule.personal:
        security, statuses = [{}, {"bearer": []}], statuses | {401}
    described = error_responses(statuses) | dict(responses or {})
    return {"opt": {"action": action, **options}, "security": security, "responses": described}


def shown_to(action: Action) -> dict[str, Any]:
    """The arguments of a page that needs an action. The session cookie authenticates the user."""
    return {"opt": {"action": action, "browser": True}, "include_in_schema": False}


assert set(RULES) == set(get_args(Action))
