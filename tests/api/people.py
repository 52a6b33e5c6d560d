"""Every kind of principal: anonymous, a session of each role, an API token of each role, and disabled owners."""

import hashlib
import secrets
from typing import Any, Literal, NamedTuple
from uuid import UUID

import psycopg

from tests.api.conftest import User, create_user

Db = psycopg.AsyncConnection[Any]
Kind = Literal[
    "anonymous",
    "viewer",
    "reporter",
    "admin",
    "viewer's token",
    "reporter's token",
    "admin's token",
    "admin's token for a viewer",
    "viewer's token for an admin",
    "disabled admin",
    "disabled admin's token",
]


class Principal(NamedTuple):
    """A client of the API. `role`: its effective role. `is_token`: it uses an API token. `invalid`: its token is
    refused."""

    kind: Kind
    token: str | None
    role: str | None
    owner: User | None
    is_token: bool = False
    invalid: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    @property
    def user_id(self) -> UUID | None:
        return None if self.owner is None else self.owner.user_id


async def create_principal(db: Db, kind: Kind) -> Principal:
    """Creates a principal of this kind with a user of its own, so that a logout or a deletion affects no other."""
    match kind:
        case "anonymous":
            return Principal(kind, None, None, None)
        case "viewer" | "reporter" | "admin":
            owner = await create_user(db, kind)
            return Principal(kind, owner.token, kind, owner)
        case "viewer's token" | "reporter's token" | "admin's token":
            role = kind.removesuffix("'s token")
            return await create_token_principal(db, kind, owner_role=role, role=role)
        case "admin's token for a viewer":
            return await create_token_principal(db, kind, owner_role="admin", role="viewer")
        case "viewer's token for an admin":
            return await create_token_principal(db, kind, owner_role="viewer", role="admin")
        case "disabled admin":
            await create_user(db, "admin")  # the last active admin cannot be disabled
            owner = await create_user(db, "admin")
            await db.execute("UPDATE users SET active = false WHERE id = %s", [owner.user_id])
            return Principal(kind, owner.token, None, owner, invalid=True)
        case "disabled admin's token":
            await create_user(db, "admin")
            created = await create_token_principal(db, kind, owner_role="admin", role="admin")
            await db.execute("UPDATE users SET active = false WHERE id = %s", [created.user_id])
            return created._replace(role=None, invalid=True)


async def create_token_principal(db: Db, kind: Kind, *, owner_role: str, role: str) -> Principal:
    """Creates a principal with an API token. The effective role is the lower one of `role` and `owner_role`."""
    owner = await create_user(db, owner_role)
    token = "slam_" + secrets.token_urlsafe(32)
    await db.execute(
        "INSERT INTO api_tokens (owner_id, name, role, token_hash) VALUES (%s, 'machine', %s, %s)",
        [owner.user_id, role, hashlib.sha256(token.encode()).digest()],
    )
    roles = ("viewer", "reporter", "admin")
    return Principal(kind, token, min(role, owner_role, key=roles.index), owner, is_token=True)
