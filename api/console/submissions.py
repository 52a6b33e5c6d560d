"""What every form of the console has in common: where it leads to after a change, and what is said after a refusal."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.params import QueryParameter
from litestar.response import Redirect, Template

from api.auth.requests import ApiRequest
from api.console.rest import Said, rest
from api.pages.problems import Problem
from api.pages.site import page
from sql import Pool, database

PageNumber = Annotated[int, QueryParameter(name="page", ge=1, le=1_000_000)]
_SHOWN_AGAIN = frozenset({400, 409, 412, 429})
"""Refusals that whoever filled in the form can do something about."""
_PLACE = re.compile(r"\[.*")


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


def refusal(said: Said) -> dict[str, Problem]:
    """What is wrong, by field; nothing where it was done. Raises what no form can mend as the error that it is."""
    if not said.ok and said.status not in _SHOWN_AGAIN:
        error = said.error
        error.headers |= {name: said.headers[name] for name in ("retry-after",) if name in said.headers}
        raise error
    return {_PLACE.sub("", field): problem for field, problem in said.problems.items()}


async def answer_of(request: ApiRequest, path: str, query: str = "") -> Any:
    """What REST answers to a GET. Raises the error that it answers with."""
    said = await rest(request, "GET", path, query=query)
    if refusal(said):
        raise said.error
    return said.body


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
