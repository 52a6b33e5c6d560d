"""/console/users: users and their roles. A generated password is shown once, in the response that created it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from api.auth import users
from api.auth.gatekeeper import actor
from api.auth.passwords import Passwords, new_password
from api.auth.permissions import ROLES, shown_to
from api.auth.requests import ApiRequest
from api.cache.entries import Cacheable
from api.console.submissions import REFUSED, PageNumber, confirmation, done, done_key, refusal
from api.pages.forms import read_form
from api.pages.problems import Problem
from api.pages.site import page
from api.rest.injected import Injected
from api.rest.validation import converted
from sql import Pool

CACHEABLE: tuple[Cacheable, ...] = ()
HERE = "/console/users"
PAGE_SIZE = 50


@get(HERE, **shown_to("users:administer"))
async def show_users(request: ApiRequest, pool: Injected[Pool], number: PageNumber = 1) -> Template:
    return await page(
        request,
        "console/users.html",
        **msgspec.to_builtins(await users.listing(pool, number, PAGE_SIZE)),
        parsed=datetime.fromisoformat,
        done=done_key(request, "users", "created", "saved", "deleted"),
    )


@get(f"{HERE}/new", **shown_to("users:administer"))
async def new_user(request: ApiRequest) -> Template:
    return await _form(request, {"username": "", "email": "", "role": "viewer"})


@post(HERE, **shown_to("users:administer"))
async def create_user(request: ApiRequest, pool: Injected[Pool], passwords: Injected[Passwords]) -> Response[Any]:
    """Creates a user. If the form has no password, one is generated and shown."""
    form = await read_form(request)
    values = {name: form.text(name) for name in ("username", "email", "role")}
    password = form.secret("password")
    try:
        new = converted(values | ({"password": password} if password else {}), users.NewUser)
        created = await users.create(pool, passwords, actor(request), new)
    except REFUSED as error:
        refused = refusal(error)
        return await _form(request, values, problems=refused.problems, status=refused.status)
    if created.password is None:
        return done(HERE, "created")
    return await _password(request, created.user.username, created.password)


@get(HERE + "/{user_id:str}", **shown_to("users:administer"))
async def edit_user(request: ApiRequest, pool: Injected[Pool], user_id: FromPath[str]) -> Template:
    user = _shown(await users.one(pool, user_id))
    return await _form(request, user, user)


@post(HERE + "/{user_id:str}", **shown_to("users:administer"))
async def change_user(
    request: ApiRequest, pool: Injected[Pool], passwords: Injected[Passwords], user_id: FromPath[str]
) -> Response[Any]:
    form = await read_form(request)
    user = _shown(await users.one(pool, user_id))
    values: dict[str, Any] = {name: form.text(name) for name in ("username", "email", "role")}
    values["active"] = form.flag("active")
    try:
        await users.change(pool, passwords, actor(request), user_id, converted(values, users.UserChange))
    except REFUSED as error:
        return await _form(request, values, user, *refusal(error))
    return done(HERE, "saved")


@post(HERE + "/{user_id:str}/password", **shown_to("users:administer"))
async def reset_password(
    request: ApiRequest, pool: Injected[Pool], passwords: Injected[Passwords], user_id: FromPath[str]
) -> Response[Any]:
    """Sets a generated password and ends all sessions of the user."""
    await read_form(request)
    user = _shown(await users.one(pool, user_id))
    password = new_password()
    try:
        await users.change(pool, passwords, actor(request), user_id, users.UserChange(password=password))
    except REFUSED as error:
        return await _form(request, user, user, *refusal(error))
    return await _password(request, user["username"], password)


@get(HERE + "/{user_id:str}/delete", **shown_to("users:administer"))
async def confirm_deletion(request: ApiRequest, pool: Injected[Pool], user_id: FromPath[str]) -> Template:
    user = await users.one(pool, user_id)
    return await confirmation(request, "users", user.username, f"{HERE}/{user.id}")


@post(HERE + "/{user_id:str}/delete", **shown_to("users:administer"))
async def delete_user(request: ApiRequest, pool: Injected[Pool], user_id: FromPath[str]) -> Response[Any]:
    await read_form(request)
    user = await users.one(pool, user_id)
    try:
        await users.remove(pool, actor(request), user_id)
    except REFUSED as error:
        return await confirmation(request, "users", user.username, f"{HERE}/{user.id}", *refusal(error))
    return done(HERE, "deleted")


async def _form(
    request: ApiRequest,
    values: Mapping[str, Any],
    user: Mapping[str, Any] | None = None,
    problems: Mapping[str, Problem] | None = None,
    status: int = 200,
) -> Template:
    """`user` is the stored user, `values` are those of the form."""
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


def _shown(user: users.StoredUser) -> dict[str, Any]:
    """The user by the field names of REST, for the templates."""
    shown: dict[str, Any] = msgspec.to_builtins(user.published())
    return shown


router = Router(
    "/",
    route_handlers=[
        show_users,
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
