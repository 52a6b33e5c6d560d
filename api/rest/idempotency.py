"""Idempotency-Key: a repeated request returns the incident that the first one created."""

from hashlib import blake2b
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec
from litestar.params import HeaderParameter
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

import sql
from api.rest.errors import ApiError, invalid
from api.rest.problems import FieldProblem
from sql import Pool, database

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
MAX_KEY_CHARACTERS = 255
KeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name=HEADER,
        description="Within a day, a request with the same key returns the incident that the first one created",
        schema_extra={"pattern": f"^[ -~]{{1,{MAX_KEY_CHARACTERS}}}$"},
    ),
]


class _Created(msgspec.Struct):
    request_hash: bytes
    incident_id: str | None


class Claim(NamedTuple):
    """The claim of one actor on a key, for the request with this hash."""

    actor_id: UUID
    key: str
    request_hash: bytes

    async def created(self, pool: Pool) -> str | None:
        """The id of the incident that was created with the key, or None. Raises 409 if the key was used for another
        request."""
        found = await database.row(pool, "idempotency/find", _Created, actor_id=self.actor_id, key=self.key)
        if found is None:
            return None
        if found.request_hash != self.request_hash:
            raise ApiError(409, "key_reused", header=HEADER)
        return found.incident_id

    async def take(self, connection: AsyncConnection[TupleRow]) -> bool:
        """Claims the key in the transaction. Returns False if it is claimed already. Waits for a concurrent transaction
        that claims it."""
        return (await connection.execute(sql.query("idempotency/claim"), self._asdict())).rowcount == 1

    async def fulfil(self, connection: AsyncConnection[TupleRow], incident_id: str) -> None:
        """Stores the id of the incident that the request has created."""
        values = {"actor_id": self.actor_id, "key": self.key, "incident_id": incident_id}
        await connection.execute(sql.query("idempotency/fulfil"), values)


def claim(actor_id: UUID, key: str | None, data: Any) -> Claim | None:
    """The claim of a request with the decoded body `data`; None without a key. Raises 400 for an invalid key."""
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not key.isascii() or not key.isprintable():
        raise invalid(FieldProblem.of(HEADER, "idempotency_key", most=MAX_KEY_CHARACTERS))
    digest = blake2b(msgspec.json.encode(data), digest_size=32).digest()
    return Claim(actor_id, key, digest)
