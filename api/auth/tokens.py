"""Signed tokens: access tokens, refresh tokens and session cookies, distinguished by `typ`.

They are JSON Web Tokens with HS256 only; `exp`, `iat`, `sub`, `sid`, `jti`, `typ`, `iss` and `aud` are required. A
token identifies a user and a session; whether the session is still valid is looked up in the database.
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import jwt
import msgspec

import sql
from api.rest.errors import ApiError
from api.rest.parts import Part
from sla_monitor.texts.problems import ProblemCode
from sql import Pool

ALGORITHM = "HS256"
ISSUER = "sla-monitor"
AUDIENCE = "sla-monitor-api"
MAX_TOKEN_CHARACTERS = 2048
TokenType = Literal["access", "refresh", "browser"]
_REQUIRED = ["exp", "iat", "sub", "sid", "jti", "typ", "iss", "aud"]


class Claims(msgspec.Struct, frozen=True):
    user_id: UUID
    session_id: UUID
    expires_at: datetime


class Tokens:
    """Signs and verifies tokens with JWT_SECRET, or without that setting with a key that is stored in the database."""

    def __init__(self, pool: Pool, secret: str | None) -> None:
        self._pool = pool
        self._secret = secret

    async def issue(self, kind: TokenType, user_id: UUID, session_id: UUID, lifetime: timedelta) -> str:
        """A new token, valid for `lifetime` from now."""
        now = datetime.now(UTC)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "typ": kind,
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": secrets.token_hex(16),
            "iat": now,
            "exp": now + lifetime,
        }
        return jwt.encode(claims, await self._key(), algorithm=ALGORITHM)

    async def read(self, token: str, kind: TokenType) -> Claims:
        """The claims of a token. Raises 401 for an expired or invalid token, or one of another kind."""
        key = await self._key()
        try:
            if len(token) > MAX_TOKEN_CHARACTERS:
                raise ValueError
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                options={"require": _REQUIRED, "strict_aud": True},
            )
            if claims["typ"] != kind:
                raise ValueError
            return Claims(UUID(claims["sub"]), UUID(claims["sid"]), datetime.fromtimestamp(claims["exp"], UTC))
        except jwt.ExpiredSignatureError:
            raise _refused("token_expired") from None
        except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, OSError):
            raise _refused("bad_token") from None

    async def secret(self) -> bytes:
        """The key, for signatures other than those of tokens. The signed data must begin with a prefix that no token
        has."""
        return (await self._key()).encode()

    async def _key(self) -> str:
        """The key. Without JWT_SECRET it is generated once for each database. Raises OperationalError while the
        database is away."""
        if self._secret is None:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(
                    sql.query("accounts/signing_key"), {"fresh": secrets.token_urlsafe(48)}
                )
                row = await cursor.fetchone()
            assert row is not None
            self._secret = str(row[0])
        return self._secret


TOKENS = Part[Tokens]("tokens")


def _refused(reason: ProblemCode) -> ApiError:
    return ApiError(401, reason, headers={"WWW-Authenticate": 'Bearer realm="sla-monitor", error="invalid_token"'})
