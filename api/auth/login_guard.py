"""Limits on guessing passwords.

An attempt is counted before the password is verified, so that concurrent attempts cannot exceed the limit. A successful
attempt is given back. For each user name there is a second limit, which all unknown addresses share. An address from
which the user has logged in before is exempt from it, so that attackers cannot lock the user out. The second
limit counts by the name in the request, not by account. So it does not reveal whether the name exists, or whether it
belongs to the same account as an e-mail address.
"""

from uuid import UUID

import msgspec

from api.auth.passwords import Passwords
from api.auth.permissions import Role
from api.edge.client_address import client_key
from api.edge.limits import Limits
from api.rest.errors import ApiError
from sla_monitor.settings.values import Limit

UNKNOWN_ADDRESSES = 10
"""The limit of all unknown addresses together for one name is that of one address, times this number."""


class Account(msgspec.Struct, kw_only=True):
    """The account with the given login. `known_address`: its user has logged in from this address before."""

    id: UUID
    username: str
    email: str
    role: Role
    active: bool
    password_hash: str
    known_address: bool


class LoginGuard:
    """Verifies passwords and limits attempts. `limit`: of one address; None for no limit."""

    def __init__(self, limits: Limits, passwords: Passwords, limit: Limit | None) -> None:
        self._limits = limits
        self._passwords = passwords
        self._limit = limit

    async def count(self, address: str) -> None:
        """Counts one attempt against the limit of its address. Raises 429."""
        await self._limits.take("login-address", client_key(address), self._limit)

    async def is_correct(self, address: str, account: Account | None, name: str, password: str) -> bool:
        """Whether `account` is active and `password` is its password. It takes the same time without an account.

        The caller must have called `count`. If the address is unknown, the attempt also counts against `name`, the user
        name or e-mail address of the request, without regard to case; raises 429. Both counts are given back if the
        password is correct, or if it cannot be verified now (raises 503).
        """
        limit = self._limit
        taken = [("login-address", client_key(address))]
        if account is None or not account.known_address:
            by_name = ("login-name", name)
            await self._limits.take(*by_name, limit and Limit(limit.times * UNKNOWN_ADDRESSES, limit.window))
            taken.append(by_name)
        try:
            verified = await self._passwords.verify(password, account.password_hash if account is not None else None)
        except ApiError:
            await self._give_back(taken)
            raise
        if not verified or account is None or not account.active:
            return False
        await self._give_back(taken)
        return True

    async def _give_back(self, taken: list[tuple[str, str]]) -> None:
        for name, client in taken:
            await self._limits.give_back(name, client)
