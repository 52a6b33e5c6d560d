"""Forged tokens, and tokens of the wrong kind, are refused over REST."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import jwt
import psycopg
import pytest

from api.auth.tokens import AUDIENCE, ISSUER
from tests.api.accounts import add_user, assert_unauthorized, logged_in, me, refresh
from tests.api.conftest import JWT_SECRET, Api, create_user

Db = psycopg.AsyncConnection[Any]

pytestmark = [pytest.mark.one_engine, pytest.mark.usefixtures("cheap")]


def forged(claims: dict[str, Any], key: str = JWT_SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm)


def unsigned(claims: dict[str, Any]) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


FORGERIES: dict[str, Callable[[dict[str, Any]], str]] = {
    "not signed": unsigned,
    "another key": lambda claims: forged(claims, "x" * 48),
    "another algorithm": lambda claims: forged(claims, algorithm="HS512"),
    "no expiry": lambda claims: forged(claims | {"exp": None}),
    "expired": lambda claims: forged(claims | {"exp": 1}),
    "never expires": lambda claims: forged(claims | {"exp": 10**400}),
    "another audience": lambda claims: forged(claims | {"aud": "other"}),
    "several audiences": lambda claims: forged(claims | {"aud": [AUDIENCE, "other"]}),
    "another issuer": lambda claims: forged(claims | {"iss": "other"}),
    "no type": lambda claims: forged(claims | {"typ": None}),
    "another type": lambda claims: forged(claims | {"typ": "admin"}),
    "no session": lambda claims: forged(claims | {"sid": None}),
    "no such session": lambda claims: forged(claims | {"sid": str(uuid4())}),
    "no such user": lambda claims: forged(claims | {"sub": str(uuid4())}),
    "an invalid session": lambda claims: forged(claims | {"sid": "' OR true --"}),
    "not yet valid": lambda claims: forged(claims | {"nbf": 4102444800}),
    "too long": lambda claims: forged(claims | {"more": "x" * 4000}),
    "nonsense": lambda _: "x.y.z",
    "an API token": lambda _: "slam_" + "x" * 43,
    "no token": lambda _: "null",
}


async def test_forged_tokens_are_refused(api: Api, db: Db) -> None:
    victim = await create_user(db)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "typ": "access",
        "sub": str(victim.user_id),
        "sid": str(victim.session_id),
        "jti": "x",
        "iat": 1,
        "exp": int(datetime.now(UTC).timestamp()) + 3600,
    }
    for forgery, forge in FORGERIES.items():
        assert (await me(api, forge(claims))).status_code == 401, forgery
        status = (await refresh(api, forge(claims | {"typ": "refresh"}))).status_code
        assert status == (400 if forgery == "too long" else 401), forgery
        assert (await me(api, forged(claims))).status_code == 200, "the same claims with a valid signature are accepted"


async def test_access_and_refresh_tokens_are_not_interchangeable(api: Api, db: Db) -> None:
    await add_user(db)
    pair = await logged_in(api)
    assert_unauthorized(await me(api, pair["refreshToken"]))
    assert_unauthorized(await refresh(api, pair["accessToken"]))
    assert (await me(api, pair["accessToken"])).status_code == 200


async def test_a_signed_refresh_token_that_was_never_issued_ends_the_session_it_names(api: Api, db: Db) -> None:
    """An attacker may know the key, or the database may have been restored from a backup."""
    await add_user(db)
    pair = await logged_in(api)
    claims = jwt.decode(pair["refreshToken"], options={"verify_signature": False})
    assert_unauthorized(await refresh(api, forged(claims | {"jti": "other"})))
    assert_unauthorized(await me(api, pair["accessToken"]))


async def test_other_authentication_schemes_are_refused(api: Api) -> None:
    for authorization in ("Basic a2ltOmtpbQ==", "Bearer", "bearer null", "Token x", "", "Bearer \xff"):
        headers = {b"Authorization": authorization.encode("latin-1")}
        assert_unauthorized(await api.http.get("/api/auth/me", headers=headers))


async def test_me_needs_a_token(api: Api) -> None:
    assert_unauthorized(await api.http.get("/api/auth/me"))
    assert (await api.http.head("/api/auth/me")).status_code == 401


async def test_tokens_in_urls_and_cookies_are_ignored(api: Api, db: Db) -> None:
    victim = await create_user(db)
    for name in ("token", "access_token", "accessToken", "authorization"):
        assert_unauthorized(await api.http.get("/api/auth/me", params={name: victim.token}))
        assert_unauthorized(await api.http.get("/api/auth/me", headers={"Cookie": f"{name}={victim.token}"}))
