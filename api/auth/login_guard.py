"""How often a password may be guessed.

A guess is counted before it is judged, so that fifty at the same moment are not all let through, and a right one is
given back. Strangers share a count for each name that is typed; addresses that somebody has logged in from before do
not take part in it, so that they are let in while others try. What is counted depends on what was typed alone: whether
a name exists, or is of the same account as an e-mail, cannot be seen from it.
"""

from uuid import UUID

import msgspec

from api.auth.passwords import Passwords
from api.auth.permissions import Role
from api.edge.client_address import client_key
from api.edge.limits import Limits
from api.rest.errors import ApiError
from sla_monitor.settings.values import Limit

STRANGERS = 10
"""How often the login limit of one address all unknown addresses together may try one name."""


class Account(msgspec.Struct, kw_only=True):
    """Whose password is asked for, and whether they have logged in from this address before."""

    id: UUID
    username: str
    email: str
    role: Role
    active: bool
    password_hash: str
    known_address: bool


class LoginGuard:
    """Judges passwords, as often as `limit` allows to one address."""

    def __init__(self, limits: Limits, passwords: Passwords, limit: Limit | None) -> None:
        self._limits = limits
        self._passwords = passwords
        self._limit = limit

    async def count(self, address: str) -> None:
        """Counts one guess against its address. Raises 429 when there were too many."""
        await self._limits.take("login-address", client_key(address), self._limit)

    async def is_right(self, address: str, account: Account | None, name: str, password: str) -> bool:
        """Whether it is the password of an active user; takes as long where there is no such user.

        The caller has counted the guess against its address; here it is counted against `name`, as it was typed but for
        its capitals, which the database disregards as it does when it looks for the user. Both are
        given back for a right one, and where too many wait for it to be judged at all.
        """
        limit = self._limit
        taken = [("login-address", client_key(address))]
        if account is None or not account.known_address:
            one = ("login-name", name)
            await self._limits.take(*one, limit and Limit(limit.times * STRANGERS, limit.window))
            taken.append(one)
        try:
            right = await self._passwords.verify(password, account.password_hash if account is not None else None)
        except ApiError:
            await self._give_back(taken)
            raise
        if not right or account is None or not account.active:
            return False
        await self._give_back(taken)
        return True

    async def _give_back(self, taken: list[tuple[str, str]]) -> None:
        for name, client in taken:
            await self._limits.give_back(name, client)
