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
            added.add_argument("name", help="the user name, or the e-mail address of an existing user")
        return added

    action("list", _list_users, "print the users", of_one=False)
    adding = action("add", _add_user, "add a user; the password is generated and printed")
    adding.add_argument("email", help="the e-mail address, which can also be used to log in")
    adding.add_argument("--role", choices=roles, default="viewer")
    passwd = action("passwd", _set_password, "set a new password, generated and printed; ends all sessions of the user")
    for with_password in (adding, passwd):
        with_password.add_argument(
            "--password-stdin", action="store_true", help="read the password from the standard input instead"
        )
    action("role", _set_role, "change the role of a user").add_argument("role", choices=roles)
    action("disable", _disable_user, "disable a user; ends all sessions of the user")
    action("enable", _enable_user, "enable a user again")


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

    await change_user(loaded, args.name, f"now has the role {args.role}", role=args.role)


async def _disable_user(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.users import change_user

    await change_user(loaded, args.name, "is disabled", active=False)


async def _enable_user(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.users import change_user

    await change_user(loaded, args.name, "is enabled", active=True)
