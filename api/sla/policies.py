"""The routes of SLA policies."""

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, post, put
from litestar.params import JSONBody, PathParameter, QueryParameter

from api.auth.gatekeeper import actor
from api.auth.permissions import requires
from api.auth.requests import ApiRequest, principal_of
from api.cache.entries import Cacheable
from api.rest.errors import BODY_ERRORS, ApiError, code_of, invalid, raise_problems
from api.rest.injected import Injected
from api.rest.moments import MAX_CHARACTERS, year_problems
from api.rest.preconditions import NOT_MODIFIED, IfMatch, IfNoneMatch, etag, outdated, tagged, unless_known
from api.rest.problems import FieldProblem
from api.sla import openslo
from api.sla.policy_fields import (
    ListedPolicy,
    NewPolicy,
    Policy,
    PolicyChange,
    PolicyConflict,
    PolicyList,
    PolicyResponse,
    VersionRow,
    policy_of,
)
from api.sla.policy_versions import PolicyOutdatedError, change, create, end, one
from sql import Pool, database

YAML = "application/yaml"  # RFC 9512
CACHEABLE: tuple[Cacheable, ...] = ()
PolicyPath = Annotated[str, PathParameter(description="The id of an SLA policy")]
FromDay = Annotated[
    str | None,
    QueryParameter(
        name="from",
        max_length=MAX_CHARACTERS,
        format="date",
        description="The first day without the policy, in its time zone; by default tomorrow",
    ),
]


@get(
    "/sla/policies",
    summary="List the SLA policies",
    **requires("sla-policies:read"),
)
async def list_policies(pool: Injected[Pool]) -> PolicyList:
    """All policies in the order of precedence: those of services, tags, groups and of everything. Each with the
    version that is valid now and the next one."""
    rows = await database.rows(pool, "sla/versions", VersionRow, id=None)
    policies = [policy_of(list(versions)) for _, versions in groupby(rows, key=lambda row: row.id)]
    return PolicyList([_without_history(policy) for policy in policies])


@get(
    "/sla/policies/{policy_id:str}",
    summary="Get an SLA policy",
    **requires("sla-policies:read", 400, 404, responses=NOT_MODIFIED),
)
async def get_policy(
    pool: Injected[Pool], policy_id: PolicyPath, if_none_match: IfNoneMatch = None
) -> Response[PolicyResponse]:
    """The policy with all its versions, the newest one first. The `ETag` can be used in `If-Match`."""
    return unless_known(_response(await one(pool, policy_id)), if_none_match)


@get(
    "/sla/policies/{policy_id:str}/openslo",
    summary="Get an SLA policy as OpenSLO",
    media_type=YAML,
    **requires("sla-policies:read", 400, 404, responses=NOT_MODIFIED),
)
async def get_openslo(pool: Injected[Pool], policy_id: PolicyPath, if_none_match: IfNoneMatch = None) -> Response[str]:
    """The terms of the newest version as OpenSLO v1 documents in YAML: a Service, and an SLO with an inline SLI. Terms
    without a place in OpenSLO are annotations that begin with `policy.sla-monitor/`."""
    newest = (await one(pool, policy_id))[0]
    text = openslo.write([openslo.terms_of(newest.scope, newest.subject, newest.published())])
    return unless_known(tagged(text, newest.version), if_none_match)


@post(
    "/sla/policies",
    summary="Create an SLA policy",
    **requires("sla-policies:write", 409, *BODY_ERRORS),
)
async def create_policy(
    request: ApiRequest, pool: Injected[Pool], data: JSONBody[NewPolicy]
) -> Response[PolicyResponse]:
    """409 if `subject` already has a policy, also one that has ended: change that one. 409 if a service has two tags
    that would both have a policy. 400 for a service or holiday calendar that does not exist. The tag or group need not
    exist yet."""
    versions = await create(pool, principal_of(request), actor(request), data)
    return _response(versions, 201, {"Location": f"/api/sla/policies/{versions[0].id}"})


@put(
    "/sla/policies/{policy_id:str}",
    summary="Add a version to an SLA policy",
    **requires("sla-policies:write", 404, 409, *BODY_ERRORS, responses=outdated(PolicyConflict)),
)
async def change_policy(
    request: ApiRequest,
    pool: Injected[Pool],
    policy_id: PolicyPath,
    data: JSONBody[PolicyChange],
    if_match: IfMatch = None,
) -> Response[PolicyResponse]:
    """The new version is valid from `validFrom` on, tomorrow at the earliest. Terms that are not in the body stay
    unchanged; without `rollingDays` or `quorumLocations`, a period or quorum that has none clears it. A policy that has
    ended is resumed. With `If-Match`: 412 if another user has added a version since; the body contains the current
    policy. 409 if a file declares the policy, or if a service has two tags that would both have a policy."""
    try:
        return _response(await change(pool, principal_of(request), actor(request), policy_id, data, if_match))
    except PolicyOutdatedError as error:
        return _outdated(error.stored)


@delete(
    "/sla/policies/{policy_id:str}",
    summary="End an SLA policy",
    **requires("sla-policies:write", 400, 404, 409),
)
async def end_policy(request: ApiRequest, pool: Injected[Pool], policy_id: PolicyPath, from_: FromDay = None) -> None:
    """Adds a version that ends the policy from a day on, tomorrow at the earliest. Past figures stay as they are. No
    version is added if the policy has ended by that day already. 409 if a file declares the policy."""
    await end(pool, principal_of(request), actor(request), policy_id, _read_day(from_))


def _read_day(text: str | None) -> date | None:
    """Parses the query parameter `from`. Raises 400 for a text that is not a date."""
    if text is None:
        return None
    try:
        day: date = msgspec.convert(text, date)
    except msgspec.ValidationError:
        raise invalid(FieldProblem.of("from", "day")) from None
    raise_problems(year_problems("from", day))
    return day


def _without_history(policy: Policy) -> ListedPolicy:
    return ListedPolicy(**{name: getattr(policy, name) for name in ListedPolicy.__struct_fields__})


def _response(
    versions: Sequence[VersionRow], status: int = 200, headers: dict[str, str] | None = None
) -> Response[PolicyResponse]:
    return tagged(PolicyResponse(policy_of(versions)), versions[0].version, status, headers)


def _outdated(versions: Sequence[VersionRow]) -> Response[Any]:
    policy = policy_of(versions)
    headers = {"ETag": etag(policy.version, PolicyResponse(policy))}
    return Response(PolicyConflict(str(ApiError(412)), code_of(412), policy), status_code=412, headers=headers)


router = Router(
    "/api",
    route_handlers=[list_policies, get_policy, get_openslo, create_policy, change_policy, end_policy],
    tags=["sla"],
)
