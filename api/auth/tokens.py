"""Signed tokens: an access token for a day, a refresh token for a week, the cookie of a browser; told apart by `typ`.

JSON Web Tokens, HS256 and nothing else; `exp`, `iat`, `sub`, `sid`, `jti`, `typ`, `iss` and `aud` must be there. What
they say is never believed beyond who and which session: whether that still lives, the database says.
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import jwt
import msgspec

import sql
from api.rest.errors import ApiError
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
    """Signs and reads tokens with JWT_SECRET, or with the key that the database keeps where none is given."""

    def __init__(self, pool: Pool, secret: str | None) -> None:
        self._pool = pool
        self._secret = secret

    async def issue(self, kind: TokenType, user_id: UUID, session_id: UUID, lifetime: timedelta) -> str:
        """A new token, good for `lifetime` from now."""
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
        """What a token of `kind` says. Raises 401 for everything that is not exactly that."""
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
        """The key, for what else is to be signed: under a prefix of its own, so that no token is made by it."""
        return (await self._key()).encode()

    async def _key(self) -> str:
        """Generated once for all processes of this database. Raises OperationalError while that is away."""
        if self._secret is None:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(
                    sql.query("accounts/signing_key"), {"fresh": secrets.token_urlsafe(48)}
                )
                row = await cursor.fetchone()
            assert row is not None
            self._secret = str(row[0])
        return self._secret


def _refused(reason: ProblemCode) -> ApiError:
    return ApiError(401, reason, headers={"WWW-Authenticate": 'Bearer realm="sla-monitor", error="invalid_token"'})
