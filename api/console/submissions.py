"""What the forms of the console share: the redirect after a change, and the problems shown after a refusal."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
from litestar import Response
from litestar.params import QueryParameter
from litestar.response import Redirect, Template
from psycopg import DataError

from api.auth.requests import ApiRequest
from api.pages.problems import Problem
from api.pages.site import page
from api.rest.errors import ApiError
from api.rest.handling import describe
from sql import Pool, database

PageNumber = Annotated[int, QueryParameter(name="page", ge=1, le=1_000_000)]
_SHOWN_AGAIN = frozenset({400, 409, 412, 429})
"""Statuses of errors that the user of a form can correct. The form is shown again with them."""
REFUSED = (ApiError, DataError)
"""The exceptions by which a resource refuses a change; `refusal` takes one of them."""
_PLACE = re.compile(r"\[.*")


class Refusal(NamedTuple):
    """The problems by field, and the status of the response. A problem without a field has the key ""."""

    problems: dict[str, Problem]
    status: int


class ServiceChoice(msgspec.Struct):
    id: str
    name: str
    group_name: str | None
    public: bool


class _Tag(msgspec.Struct):
    tag: str


def done(target: str, what: str) -> Response[Any]:
    """Redirects to the page `target` after a change. Its parameter `done` makes the page report `what` was done."""
    return Redirect(f"{target}?done={what}", status_code=303)


def done_key(request: ApiRequest, section: str, *known: str) -> str | None:
    """The key of the text for the request's `?done=`; None if the parameter is absent or not one of `known`."""
    what = request.query_params.get("done")
    return f"{section}.done_{what}" if what in known else None


def refusal(error: ApiError | DataError) -> Refusal:
    """The problems and the status for a form that is shown again. Raises `error` itself if no form can correct it."""
    described = describe(error)
    if described is None or described.status not in _SHOWN_AGAIN:
        raise error
    named: dict[str, Problem] = {_PLACE.sub("", problem.field): problem for problem in described.details}
    return Refusal(named or {"": described}, described.status)


async def confirmation(
    request: ApiRequest,
    section: str,
    name: str,
    back: str,
    problems: Mapping[str, Problem] | None = None,
    status: int = 200,
) -> Template:
    """The page that confirms the deletion of `name`. It posts to its own address. Its texts are `section`.delete_…."""
    return await page(
        request,
        "console/confirm.html",
        status_code=status,
        section=section,
        subject=name,
        back=back,
        problems=problems or {},
    )


async def service_choices(pool: Pool) -> list[ServiceChoice]:
    """All services, including private ones; for staff only."""
    return await database.rows(pool, "services/choices", ServiceChoice)


async def known_tags(pool: Pool) -> list[str]:
    """All tags of services; for staff only."""
    return [row.tag for row in await database.rows(pool, "services/tags", _Tag)]
