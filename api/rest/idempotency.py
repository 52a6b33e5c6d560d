"""Idempotency-Key: who repeats a request, not knowing whether the first one arrived, gets what the first one made."""

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
        description="repeat a request under the same key; it is remembered for a day",
        schema_extra={"pattern": f"^[ -~]{{1,{MAX_KEY_CHARACTERS}}}$"},
    ),
]


class _Made(msgspec.Struct):
    request_hash: bytes
    incident_id: str | None


class Claim(NamedTuple):
    """One key of one actor, and what is asked under it."""

    actor_id: UUID
    key: str
    request_hash: bytes

    async def made(self, pool: Pool) -> str | None:
        """The incident that was created under the key, or None. Raises 409 where something else was asked then."""
        found = await database.row(pool, "idempotency/find", _Made, actor_id=self.actor_id, key=self.key)
        if found is None:
            return None
        if found.request_hash != self.request_hash:
            raise ApiError(409, "key_reused", header=HEADER)
        return found.incident_id

    async def take(self, connection: AsyncConnection[TupleRow]) -> bool:
        """Whether the key is ours from now on; waits for somebody who is just taking it."""
        return (await connection.execute(sql.query("idempotency/claim"), self._asdict())).rowcount == 1

    async def fulfil(self, connection: AsyncConnection[TupleRow], incident_id: str) -> None:
        values = {"actor_id": self.actor_id, "key": self.key, "incident_id": incident_id}
        await connection.execute(sql.query("idempotency/fulfil"), values)


def claim(actor_id: UUID, key: str | None, asked: Any) -> Claim | None:
    """The claim that a request makes, None without a key. What it asks is compared field by field, not as text."""
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not key.isascii() or not key.isprintable():
        raise invalid(FieldProblem.of(HEADER, "idempotency_key", most=MAX_KEY_CHARACTERS))
    digest = blake2b(msgspec.json.encode(asked), digest_size=32).digest()
    return Claim(actor_id, key, digest)
