"""The first user of a new installation: an admin whose password is generated and shown once.

There is no default password, and no page on which the first visitor could choose one.
"""

from api.auth.passwords import Passwords, new_password
from sql import connect, query

USERNAME = "admin"
EMAIL = "admin@localhost"


async def create_first_admin(database_url: str) -> str | None:
    """Creates the first admin and returns the password; None if there is a user, or another process has just created
    one."""
    async with await connect(database_url, application="sla-monitor first admin") as connection:
        # Checked first, so that later starts do not spend a tenth of a second on a hash.
        if await (await connection.execute("SELECT FROM users LIMIT 1")).fetchone() is not None:
            return None
        password = new_password()
        values = {"username": USERNAME, "email": EMAIL, "password_hash": await Passwords().hash(password)}
        created = await (await connection.execute(query("accounts/create_first_admin"), values)).fetchone()
    return password if created == (True,) else None


async def introduce_first_admin(database_url: str) -> None:
    """Creates the first admin and prints the password once it is stored. It goes to the terminal and not to the log,
    because logs are stored and others can read them."""
    password = await create_first_admin(database_url)
    if password is not None:
        print(f"The first user is {USERNAME!r}, an admin. Password: {password}", flush=True)
        print(
            "It is not shown again. Change it after logging in, or with `sla-monitor users passwd admin`.", flush=True
        )
