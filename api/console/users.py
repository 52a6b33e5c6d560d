"""/console/users: who may come in, and as what. Generated passwords are shown once, on the answer that made them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth.passwords import new_password
from api.auth.permissions import ROLES, shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console.rest import rest
from api.console.submissions import PageNumber, answer_of, confirmation, done, refusal, told
from api.pages.forms import read_form
from api.pages.site import page
from api.rest.errors import ApiError
from api.rest.texts import uuid_or_none

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/users"


@get(HERE, **shown_to("users:administer"))
async def users(request: ApiRequest, number: PageNumber = 1) -> Template:
    listed = await answer_of(request, "/api/users", f"page={number}&limit=50")
    return await page(
        request,
        "console/users.html",
        **listed,
        parsed=datetime.fromisoformat,
        done=told(request, "users", "created", "saved", "deleted"),
    )


@get(f"{HERE}/new", **shown_to("users:administer"))
async def new_user(request: ApiRequest) -> Template:
    return await _form(request, {"username": "", "email": "", "role": "viewer"})


@post(HERE, **shown_to("users:administer"))
async def create_user(request: ApiRequest) -> Response[Any]:
    """Without a password one is generated and shown."""
    form = await read_form(request)
    values = {name: form.text(name) for name in ("username", "email", "role")}
    password = form.secret("password")
    said = await rest(request, "POST", "/api/users", values | ({"password": password} if password else {}))
    if wrong := refusal(said):
        return await _form(request, values, problems=wrong, status=said.status)
    if said.body["password"] is None:
        return done(HERE, "created")
    return await _password(request, values["username"], said.body["password"])


@get(HERE + "/{user_id:str}", **shown_to("users:administer"))
async def edit_user(request: ApiRequest, user_id: FromPath[str]) -> Template:
    user = await _user(request, user_id)
    return await _form(request, user, user)


@post(HERE + "/{user_id:str}", **shown_to("users:administer"))
async def change_user(request: ApiRequest, user_id: FromPath[str]) -> Response[Any]:
    form = await read_form(request)
    user = await _user(request, user_id)
    values: dict[str, Any] = {name: form.text(name) for name in ("username", "email", "role")}
    values["active"] = form.flag("active")
    said = await rest(request, "PATCH", f"/api/users/{user['id']}", values)
    if wrong := refusal(said):
        return await _form(request, values, user, wrong, said.status)
    return done(HERE, "saved")


@post(HERE + "/{user_id:str}/password", **shown_to("users:administer"))
async def reset_password(request: ApiRequest, user_id: FromPath[str]) -> Response[Any]:
    """A new one that nobody has chosen; it ends all sessions of its user."""
    await read_form(request)
    user = await _user(request, user_id)
    password = new_password()
    said = await rest(request, "PATCH", f"/api/users/{user['id']}", {"password": password})
    if wrong := refusal(said):
        return await _form(request, user, user, wrong, said.status)
    return await _password(request, user["username"], password)


@get(HERE + "/{user_id:str}/delete", **shown_to("users:administer"))
async def confirm_deletion(request: ApiRequest, user_id: FromPath[str]) -> Template:
    user = await _user(request, user_id)
    return await confirmation(request, "users", user["username"], f"{HERE}/{user['id']}")


@post(HERE + "/{user_id:str}/delete", **shown_to("users:administer"))
async def delete_user(request: ApiRequest, user_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    user = await _user(request, user_id)
    said = await rest(request, "DELETE", f"/api/users/{user['id']}")
    if wrong := refusal(said):
        return await confirmation(request, "users", user["username"], f"{HERE}/{user['id']}", wrong, said.status)
    return done(HERE, "deleted")


async def _form(
    request: ApiRequest,
    values: Mapping[str, Any],
    user: Mapping[str, Any] | None = None,
    problems: Mapping[str, str] | None = None,
    status: int = 200,
) -> Template:
    """`user` as it is stored; the values may be others."""
    return await page(
        request,
        "console/user_form.html",
        status_code=status,
        values=values,
        person=user,
        problems=problems or {},
        roles=ROLES,
    )


async def _password(request: ApiRequest, username: str, password: str) -> Template:
    return await page(request, "console/secret.html", section="users", subject=username, secret=password, back=HERE)


async def _user(request: ApiRequest, user_id: str) -> dict[str, Any]:
    key = uuid_or_none(user_id)
    if key is None:
        raise ApiError(404, "There is no such user")
    user: dict[str, Any] = (await answer_of(request, f"/api/users/{key}"))["user"]
    return user


router = Router(
    "/",
    route_handlers=[
        users,
        new_user,
        create_user,
        edit_user,
        change_user,
        reset_password,
        confirm_deletion,
        delete_user,
    ],
    include_in_schema=False,
)
