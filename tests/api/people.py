"""Everybody there can be: nobody, each role in a session, each role's API token, and who has just been disabled."""

import hashlib
import secrets
from typing import Any, Literal, NamedTuple
from uuid import UUID

import psycopg

from tests.api.conftest import Someone, someone

Db = psycopg.AsyncConnection[Any]
Kind = Literal[
    "nobody",
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
    """Somebody who asks. `role` is what they may do in the end; `bad`: what they show is not good any more."""

    kind: Kind
    token: str | None
    role: str | None
    owner: Someone | None
    machine: bool = False
    bad: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    @property
    def user_id(self) -> UUID | None:
        return None if self.owner is None else self.owner.user_id


async def principal(db: Db, kind: Kind) -> Principal:
    """A new one of this kind, with a user of their own: nobody else is disturbed when it is logged out or deleted."""
    match kind:
        case "nobody":
            return Principal(kind, None, None, None)
        case "viewer" | "reporter" | "admin":
            owner = await someone(db, kind)
            return Principal(kind, owner.token, kind, owner)
        case "viewer's token" | "reporter's token" | "admin's token":
            role = kind.removesuffix("'s token")
            return await machine(db, kind, owner_role=role, role=role)
        case "admin's token for a viewer":
            return await machine(db, kind, owner_role="admin", role="viewer")
        case "viewer's token for an admin":
            return await machine(db, kind, owner_role="viewer", role="admin")
        case "disabled admin":
            await someone(db, "admin")  # the last one cannot be disabled
            owner = await someone(db, "admin")
            await db.execute("UPDATE users SET active = false WHERE id = %s", [owner.user_id])
            return Principal(kind, owner.token, None, owner, bad=True)
        case "disabled admin's token":
            await someone(db, "admin")
            made = await machine(db, kind, owner_role="admin", role="admin")
            await db.execute("UPDATE users SET active = false WHERE id = %s", [made.user_id])
            return made._replace(role=None, bad=True)


async def machine(db: Db, kind: Kind, *, owner_role: str, role: str) -> Principal:
    """An API token; it may what its own role and its owner's both allow."""
    owner = await someone(db, owner_role)
    token = "slam_" + secrets.token_urlsafe(32)
    await db.execute(
        "INSERT INTO api_tokens (owner_id, name, role, token_hash) VALUES (%s, 'machine', %s, %s)",
        [owner.user_id, role, hashlib.sha256(token.encode()).digest()],
    )
    roles = ("viewer", "reporter", "admin")
    return Principal(kind, token, min(role, owner_role, key=roles.index), owner, machine=True)
