"""The subcommands of `sla-monitor users` and their arguments."""

import argparse
from collections.abc import Callable, Coroutine
from typing import Any

from sla_monitor.settings import Settings

Command = Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, None]]
"""Runs a subcommand with the settings and its arguments."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands of `sla-monitor users` to its parser."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    roles = ("viewer", "reporter", "admin")

    def action(name: str, start: Command, meaning: str, *, of_one: bool = True) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=meaning, description=meaning)
        added.set_defaults(start=start)
        if of_one:
            added.add_argument("name", help="the user name; of a user that there is, the e-mail does as well")
        return added

    action("list", _list_users, "print the users", of_one=False)
    adding = action("add", _add_user, "add a user; the password is generated and printed")
    adding.add_argument("email", help="the user's e-mail address; it is required, and works for logging in too")
    adding.add_argument("--role", choices=roles, default="viewer")
    passwd = action("passwd", _set_password, "give a user a new password, generated and printed; ends their sessions")
    for with_password in (adding, passwd):
        with_password.add_argument(
            "--password-stdin", action="store_true", help="read the password from the standard input instead"
        )
    action("role", _set_role, "give a user another role").add_argument("role", choices=roles)
    action("disable", _disable_user, "let a user in no more; ends their sessions")
    action("enable", _enable_user, "let a user in again")


async def _list_users(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.users import list_users

    await list_users(loaded)


async def _add_user(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.users import add_user

    await add_user(loaded, args.name, args.email, args.role, read_password=args.password_stdin)


async def _set_password(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.users import set_password

    await set_password(loaded, args.name, read_password=args.password_stdin)


async def _set_role(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.users import change_user

    await change_user(loaded, args.name, f"is {args.role} now", role=args.role)


async def _disable_user(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.users import change_user

    await change_user(loaded, args.name, "is disabled", active=False)


async def _enable_user(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.users import change_user

    await change_user(loaded, args.name, "is enabled", active=True)
