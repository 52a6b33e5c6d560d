"""Who may do what: one table and one function, without network or database.

A route names its action (`**requires("incidents:write")`), which also documents it. An application with a route that
names none does not start (`check_routes` in gatekeeper.py).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec

from api.rest.errors import ApiError
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
API_TOKEN_PREFIX = "slam_"  # noqa: S105  # what a token begins with, so that scanners for leaked secrets know it
ROLES: tuple[Role, ...] = get_args(Role)


class Rule(NamedTuple):
    """The least role for an action; None is everybody. `own`: the least role for what is one's own.

    `personal`: everybody may, but what they see depends on who they are, so a token that comes along is looked at, and
    a bad one is a 401.
    """

    least: Role | None
    own: Role | None = None
    personal: bool = False
    people_only: bool = False
    """Not for API tokens: one that was stolen could make itself accounts and tokens that outlive it."""


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
    """Somebody who has shown who they are: a person in a session, or a machine with a token of its owner."""

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
        """The token's id, or the user's where no token was used."""
        return self.token_id or self.user_id


def allows(principal: Principal | None, action: Action, owner_id: UUID | None = None) -> bool:
    """Whether `principal` (None: nobody known) may do `action`, to a thing of `owner_id` where it has an owner."""
    rule = RULES[action]
    if rule.least is None:
        return True
    if principal is None or (rule.people_only and principal.kind != "user"):
        return False
    owns = rule.own is not None and owner_id is not None and principal.user_id == owner_id
    least = rule.own if owns and rule.own is not None else rule.least
    return ROLES.index(principal.role) >= ROLES.index(least)


def sees_internal(principal: Principal | None) -> bool:
    """Whether somebody sees internal incidents, comments and maintenance windows, and private services."""
    return allows(principal, "incidents:read-internal")


def authorise(principal: Principal | None, action: Action, owner_id: UUID | None = None) -> None:
    """Returns when it is allowed; else raises 401 where nobody is logged in, 403 where the role is too low."""
    if allows(principal, action, owner_id):
        return
    if principal is None:
        raise unauthorized("log_in")
    if RULES[action].people_only and principal.kind != "user":
        raise ApiError(403, "people_only")
    raise ApiError(403, "role", role=principal.role)


def unauthorized(reason: ProblemCode) -> ApiError:
    return ApiError(401, reason, headers={"WWW-Authenticate": 'Bearer realm="sla-monitor"'})


def requires(action: Action, **options: Any) -> dict[str, Any]:
    """What a route says of itself to be guarded: `@post("/incidents", **requires("incidents:write"))`. `options` are
    further entries of its `opt`."""
    rule = RULES[action]
    known: list[dict[str, list[str]]] = [{"bearer": []}]
    if rule.least is None:
        known = [{}, {"bearer": []}] if rule.personal else [{}]
    return {"opt": {"action": action, **options}, "security": known}


def shown_to(action: Action) -> dict[str, Any]:
    """The same for a page, which only a browser asks for: who asks is told by the cookie of their session."""
    return {"opt": {"action": action, "browser": True}, "include_in_schema": False}


assert set(RULES) == set(get_args(Action))
