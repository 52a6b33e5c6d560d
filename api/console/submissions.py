"""What every form of the console has in common: where it leads to after a change, and what is said after a refusal."""

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
"""Statuses of errors that the user of a form can do something about."""
REFUSED = (ApiError, DataError)
"""What a resource raises for a change that it refuses; the argument of `refusal`."""
_PLACE = re.compile(r"\[.*")


class Refusal(NamedTuple):
    """What is wrong, by field; under "" what has none."""

    problems: dict[str, Problem]
    status: int


class ServiceChoice(msgspec.Struct):
    id: str
    name: str
    group_name: str | None
    public: bool


def done(target: str, what: str) -> Response[Any]:
    """After a change: the page `target`, which says so once."""
    return Redirect(f"{target}?done={what}", status_code=303)


def told(request: ApiRequest, section: str, *known: str) -> str | None:
    """The text's key of what `?done=` says was done; None where it says nothing that is known."""
    what = request.query_params.get("done")
    return f"{section}.done_{what}" if what in known else None


def refusal(error: ApiError | DataError) -> Refusal:
    """For the form, which is shown again. Raises what no form can mend as the error that it is."""
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
    """Asks whether `name` is really to go: a page that posts to itself. Its texts are `section`.delete_…."""
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
    """Every service, private ones too: for those who are logged in."""
    return await database.rows(pool, "services/choices", ServiceChoice)
