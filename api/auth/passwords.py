"""Passwords: argon2id, in a thread, a few at a time.

One takes a tenth of a second and 64 MiB, so whoever can send many could take all of the machine. At most two are worked
on at once, a bounded number waits, and further ones are told to come back.
"""

import base64
import secrets
import unicodedata
from collections.abc import Callable
from typing import Annotated, TypeVar

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from msgspec import Meta

from api.rest.errors import ApiError
from api.rest.problems import FieldProblem

LEAST_CHARACTERS = 10
MOST_CHARACTERS = 200
AT_ONCE = 2
WAITING = 40
"""They are through in 2 to 4 s; a request may take 15."""
RETRY_AFTER_S = 3

NewPassword = Annotated[str, Meta(min_length=LEAST_CHARACTERS, max_length=MOST_CHARACTERS)]
AnyPassword = Annotated[str, Meta(min_length=1, max_length=MOST_CHARACTERS)]
Result = TypeVar("Result")

_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"


class Passwords:
    """Hashes and verifies. One for each process: its two are all that the process spends on passwords."""

    def __init__(self, hasher: PasswordHasher | None = None, waiting: int = WAITING) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobodys = _nobodys_hash(self._hasher)
        self._most_waiting = waiting
        self._limiter = CapacityLimiter(AT_ONCE)

    async def hash(self, password: str) -> str:
        """With salt and costs in it. Raises 503 when too many wait already."""
        return await self._in_line(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether `stored` is of this password. Where there is none (None, or no hash at all) it takes as long."""
        return await self._in_line(lambda: self._matches(password, stored or self._nobodys))

    def outdated(self, stored: str) -> bool:
        """Whether it was hashed at other costs than new ones are."""
        return self._hasher.check_needs_rehash(stored)

    async def rehash(self, password: str, stored: str) -> str | None:
        """The same password at the costs of now, where they have been raised since; for the next time when too many
        wait already."""
        if not self.outdated(stored) or self.waiting >= self._most_waiting:
            return None
        return await self.hash(password)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return self._limiter.statistics().tasks_waiting

    def _matches(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, _normal(password))
        except VerifyMismatchError:
            return False
        except InvalidHashError:
            return stored != self._nobodys and self._matches(password, self._nobodys)

    async def _in_line(self, work: Callable[[], Result]) -> Result:
        if self.waiting >= self._most_waiting:
            raise ApiError(503, "too_many_logins", headers={"Retry-After": str(RETRY_AFTER_S)})
        return await to_thread.run_sync(work, limiter=self._limiter)


def new_password() -> str:
    """One that cannot be guessed (99 bits), and can be read out on the telephone."""
    letters = [secrets.choice(_READABLE) for _ in range(20)]
    return "-".join("".join(letters[first : first + 5]) for first in range(0, 20, 5))


def password_problems(field: str, password: str, *names: str) -> list[FieldProblem]:
    """What is wrong with a new password beyond its length. No rule about its characters: those make passwords worse."""
    if any(_normal(password).lower() == _normal(name).lower() for name in names):
        return [FieldProblem.of(field, "password_is_name")]
    return []


def _normal(password: str) -> str:
    """The same password from every keyboard: systems differ in how they compose é."""
    return unicodedata.normalize("NFKC", password)


def _nobodys_hash(hasher: PasswordHasher) -> str:
    """A hash of no password, as costly to verify as a real one."""

    def random(length: int) -> str:
        return base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")

    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${random(hasher.salt_len)}${random(hasher.hash_len)}"
