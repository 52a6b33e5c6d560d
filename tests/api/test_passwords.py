"""Password hashes: their cost, the time of a verification, and at most two at the same time."""

import threading
import time
from typing import Any

import anyio
import pytest
from argon2 import PasswordHasher, Type, extract_parameters

from api.auth.passwords import Passwords, new_password, password_problems
from api.rest.errors import ApiError

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
OTHER_COSTS = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash("correct horse battery")


async def test_the_costs_are_those_of_rfc_9106() -> None:
    costs = extract_parameters(await Passwords().hash("correct horse battery"))
    assert costs.type is Type.ID
    assert (costs.time_cost, costs.memory_cost, costs.parallelism) == (3, 64 * 1024, 4)
    assert (costs.salt_len, costs.hash_len) == (16, 32)


async def test_an_unknown_user_takes_as_long_as_a_wrong_password() -> None:
    """A stored value that is not a hash takes the same time too. The kinds alternate, so that load on the machine
    affects all of them."""
    passwords = Passwords()
    stored = await passwords.hash("correct horse battery")
    seconds: dict[str | None, list[float]] = {stored: [], None: [], "none": []}
    for _ in range(5):
        for kind, taken in seconds.items():
            began = time.perf_counter()
            assert not await passwords.verify("wrong horse battery", kind)
            taken.append(time.perf_counter() - began)
    least = [min(taken) for taken in seconds.values()]
    assert max(least) < 2 * min(least)


async def test_passwords_are_compared_in_unicode_form_nfkc() -> None:
    passwords = Passwords(CHEAP)
    stored = await passwords.hash("caf\u00e9 cafe\u0301 \ufb01ne")
    assert await passwords.verify("cafe\u0301 caf\u00e9 fine", stored)
    assert not await passwords.verify("Caf\u00e9 caf\u00e9 fine", stored)


async def test_outdated_hashes_are_renewed() -> None:
    stored = await Passwords(CHEAP).hash("correct horse battery")
    assert await Passwords(CHEAP).rehash("correct horse battery", stored) is None
    fresh = await Passwords().rehash("correct horse battery", stored)
    assert fresh is not None
    assert extract_parameters(fresh).memory_cost == 64 * 1024
    assert await Passwords().verify("correct horse battery", stored)


class Slow(PasswordHasher):
    """A hasher that waits for `go_on`. `most` is the largest number of concurrent calls."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go_on = threading.Event()
        self.under_way = self.most = 0
        self._lock = threading.Lock()

    def hash(self, password: Any, *, salt: bytes | None = None) -> str:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.go_on.wait(5)
        with self._lock:
            self.under_way -= 1
        return super().hash(password, salt=salt)


async def test_two_hashes_run_at_once_and_the_queue_is_bounded() -> None:
    slow = Slow()
    passwords = Passwords(slow, max_waiting=3)
    hashed: list[str] = []

    async def one() -> None:
        hashed.append(await passwords.hash("correct horse battery"))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ApiError) as refused:
            await passwords.hash("one too many")
        assert passwords.waiting == 3
        assert refused.value.status == 503
        assert int(refused.value.headers["Retry-After"]) > 0
        # A renewal is skipped while the queue is full: it can be done at the next login.
        assert await passwords.rehash("correct horse battery", OTHER_COSTS) is None
        slow.go_on.set()
    assert len(hashed) == 5
    assert slow.most == 2
    assert await passwords.hash("the queue is empty again")


def test_generated_passwords_are_distinct_and_have_no_ambiguous_characters() -> None:
    generated = {new_password() for _ in range(100)}
    assert len(generated) == 100
    assert all(len(password) == 23 and not set(password) & set("O0Il1i") for password in generated)


def test_a_password_must_not_equal_the_users_names() -> None:
    names = ("administrator", "kim@example.com")
    assert [problem.field for problem in password_problems("password", "Administrator", *names)] == ["password"]
    assert [problem.field for problem in password_problems("password", "KIM@example.com", *names)] == ["password"]
    assert password_problems("password", "kkkkkkkkkkkk", *names) == []
