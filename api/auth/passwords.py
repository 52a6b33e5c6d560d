"""Passwords, hashed with argon2id in threads.

One hash takes a tenth of a second and 64 MiB of memory. Therefore at most two are computed at once and `MAX_WAITING`
wait; further requests get a 503.
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

MIN_CHARACTERS = 10
MAX_CHARACTERS = 200
MAX_CONCURRENT = 2
MAX_WAITING = 40
"""A full queue takes 2 to 4 s, well below the deadline of a request."""
RETRY_AFTER_S = 3

NewPassword = Annotated[str, Meta(min_length=MIN_CHARACTERS, max_length=MAX_CHARACTERS)]
AnyPassword = Annotated[str, Meta(min_length=1, max_length=MAX_CHARACTERS)]
Result = TypeVar("Result")

_READABLE = "abcdefghjkmnpqrstuvwxyz23456789"


class Passwords:
    """Hashes and verifies passwords. A process has one, so that the bounds hold for all requests."""

    def __init__(self, hasher: PasswordHasher | None = None, max_waiting: int = MAX_WAITING) -> None:
        self._hasher = hasher or PasswordHasher()
        self._dummy_hash = _dummy_hash(self._hasher)
        self._max_waiting = max_waiting
        self._limiter = CapacityLimiter(MAX_CONCURRENT)

    async def hash(self, password: str) -> str:
        """The hash, with salt and costs. Raises 503 if too many are waiting."""
        return await self._run(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether `stored` is the hash of `password`. It takes the same time if `stored` is None or not a hash. Raises
        503 if too many are waiting."""
        return await self._run(lambda: self._matches(password, stored or self._dummy_hash))

    def outdated(self, stored: str) -> bool:
        """Whether the costs of the hash differ from those of new hashes."""
        return self._hasher.check_needs_rehash(stored)

    async def rehash(self, password: str, stored: str) -> str | None:
        """A new hash if `stored` is outdated; None if it is not, or if too many are waiting."""
        if not self.outdated(stored) or self.waiting >= self._max_waiting:
            return None
        return await self.hash(password)

    @property
    def waiting(self) -> int:
        """The number of passwords that wait to be hashed or verified."""
        return self._limiter.statistics().tasks_waiting

    def _matches(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(stored, _normal(password))
        except VerifyMismatchError:
            return False
        except InvalidHashError:
            return stored != self._dummy_hash and self._matches(password, self._dummy_hash)

    async def _run(self, work: Callable[[], Result]) -> Result:
        if self.waiting >= self._max_waiting:
            raise ApiError(503, "too_many_logins", headers={"Retry-After": str(RETRY_AFTER_S)})
        return await to_thread.run_sync(work, limiter=self._limiter)


def new_password() -> str:
    """A random password of 99 bits, from letters and digits that look different from each other."""
    letters = [secrets.choice(_READABLE) for _ in range(20)]
    return "-".join("".join(letters[first : first + 5]) for first in range(0, 20, 5))


def password_problems(field: str, password: str, *names: str) -> list[FieldProblem]:
    """The problems of a new password, apart from its length: it must not equal one of `names`. There are no rules about
    characters, since such rules lead to weaker passwords."""
    if any(_normal(password).lower() == _normal(name).lower() for name in names):
        return [FieldProblem.of(field, "password_is_name")]
    return []


def _normal(password: str) -> str:
    """The password in Unicode form NFKC: keyboards differ in how they compose characters such as é."""
    return unicodedata.normalize("NFKC", password)


def _dummy_hash(hasher: PasswordHasher) -> str:
    """A hash that matches no password and takes as long to verify as a real one."""

    def random(length: int) -> str:
        return base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")

    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${random(hasher.salt_len)}${random(hasher.hash_len)}"
