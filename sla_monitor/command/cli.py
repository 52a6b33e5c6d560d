"""The command `sla-monitor` and its subcommands.

Exit codes: 0 success, 1 failure (with one line of explanation), 2 invalid settings or arguments, 75 the database cannot
be reached now, 70 a defect (with a traceback).
"""

import argparse
import asyncio
import io
import logging
import os
import sys
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from sla_monitor import __version__, settings
from sla_monitor.command import report_arguments, user_arguments
from sla_monitor.command.processes import PARENT, end_with_parent
from sla_monitor.serving.ending import run_and_cancel_rest
from sla_monitor.settings import Settings, SettingsError, StartError
from sla_monitor.settings.unknown import unknown_variables

log = logging.getLogger("sla_monitor")

DEFECT = 70
"""EX_SOFTWARE of sysexits.h. It differs from 1, so that `up` can recognise a crash and restart the part."""

SERVING = frozenset({"up", "demo", "api", "prober", "worker", "migrate"})
"""Commands that use all settings: they warn of unknown variables."""

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class CommandError(StartError):
    """A requirement of this command is missing."""

    exit_code = 2


def _database_url(loaded: Settings) -> str:
    if loaded.database_url is None:
        raise CommandError("DATABASE_URL is not set: set it, or run `sla-monitor up`, which starts a database")
    return loaded.database_url


async def _api(loaded: Settings, args: argparse.Namespace) -> None:
    from api.app import serve
    from api.rest.declared_files import require_files
    from sla_monitor.command.start import prepare
    from sla_monitor.serving.ports import require_ports

    end_with_parent()
    url = _database_url(loaded)
    require_files(loaded)
    require_ports(loaded, "api")
    await serve(loaded, url, prepare=partial(prepare, url, loaded))


async def _prober(loaded: Settings, args: argparse.Namespace) -> None:
    from prober.run import run

    end_with_parent()
    await run(loaded, _database_url(loaded))


async def _worker(loaded: Settings, args: argparse.Namespace) -> None:
    from worker.run import run

    end_with_parent()
    await run(loaded, _database_url(loaded))


async def _migrate(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.first_admin import introduce_first_admin
    from sla_monitor.command.first_services import register_first_services
    from sla_monitor.command.logins import create_logins
    from sql.migrate import migrate

    url = _database_url(loaded)
    migrated = await migrate(url, loaded)
    await create_logins(url, loaded)
    await register_first_services(url, loaded)
    for name in migrated.applied:
        print(f"applied {name}")
    print(f"the schema is up to date, on {migrated.engine}")
    await introduce_first_admin(url)


async def _up(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.up import up

    await up(loaded)


async def _demo(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.demo import demo

    await demo(loaded)


def _arguments() -> argparse.ArgumentParser:
    from prober import check

    parser = argparse.ArgumentParser(
        prog="sla-monitor",
        description="A time-series-centred SLA monitor. Settings are environment variables, listed in the README.",
    )
    parser.add_argument("--version", action="version", version=f"sla-monitor {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, start, meaning in (
        (
            "up",
            _up,
            "run all programs in this terminal, with an embedded database unless DATABASE_URL is set",
        ),
        ("demo", _demo, "run all programs with example services and 90 days of generated checks"),
        ("api", _api, "run the API"),
        ("prober", _prober, "run the prober"),
        ("worker", _worker, "run the worker, which performs all periodic duties"),
        ("migrate", _migrate, "migrate the database to the schema of this program"),
    ):
        commands.add_parser(name, help=meaning, description=meaning).set_defaults(start=start)
    checking = commands.add_parser("check", help="check one target once, without a database")
    check.add_arguments(checking)
    for name, work, meaning in (
        ("backup", _backup, "write the whole database to a file"),
        ("restore", _restore, "restore a backup into an empty database"),
    ):
        with_file = commands.add_parser(name, help=meaning, description=meaning)
        with_file.add_argument("file", metavar="FILE")
        with_file.set_defaults(start=work)
    meaning = "open psql on the database as an analyst; accepts the options of psql"
    commands.add_parser("psql", help=meaning, description=meaning).set_defaults(start=_psql)
    services = commands.add_parser("services", help="list the services, or apply a services.toml")
    actions = services.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="print the services").set_defaults(start=_list_services)
    applying = actions.add_parser("apply", help="create and change services as a file declares them")
    applying.add_argument("file", help="services.toml")
    applying.set_defaults(start=_apply_services)
    policies = commands.add_parser("sla", help="apply a file with SLA policies, or print them as such a file")
    actions = policies.add_subparsers(dest="action", required=True, metavar="ACTION")
    applying = actions.add_parser("apply", help="create, change and end SLA policies as a file declares them")
    applying.add_argument("file", help="sla.toml, or OpenSLO documents in a .yaml file")
    applying.set_defaults(start=_apply_policies)
    exporting = actions.add_parser("export", help="print the SLA policies")
    exporting.add_argument(
        "--format", choices=("toml", "openslo"), default="toml", help="sla.toml, the default, or OpenSLO"
    )
    exporting.set_defaults(start=_export_policies)
    meaning = "print the SLA report of a period, or write it to a file"
    report_arguments.add_arguments(commands.add_parser("report", help=meaning, description=meaning))
    user_arguments.add_arguments(commands.add_parser("users", help="list the users, add and change them"))
    return parser


async def _backup(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.backup import backup

    await backup(loaded, Path(args.file))


async def _restore(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.backup import restore

    await restore(loaded, Path(args.file))


async def _psql(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.psql import psql

    await psql(loaded, args.options)


async def _list_services(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.services import list_services

    await list_services(loaded)


async def _apply_services(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.services import apply_services

    await apply_services(loaded, Path(args.file))


async def _apply_policies(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.sla import apply_policies

    await apply_policies(loaded, Path(args.file))


async def _export_policies(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.sla import export_policies

    await export_policies(loaded, args.format)


def main() -> None:
    """Entry point of the console command; ends the process."""
    sys.exit(_main())


def _main() -> int:
    _escape_unencodable()
    words = sys.argv[1:]
    options = words[1:] if words[:1] == ["psql"] else []  # the options of psql, which argparse does not know
    args = _arguments().parse_args(words[: len(words) - len(options)], argparse.Namespace(options=options))
    try:
        loaded = settings.load()
    except SettingsError as error:
        return _report(error)
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # its warnings are about connections that this program closed
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
    logging.basicConfig(level=loaded.log_level.upper(), format=LOG_FORMAT, stream=sys.stderr)
    if args.command in SERVING and PARENT not in os.environ:  # the parts of `up` have the same environment
        for message in unknown_variables():
            log.warning("%s", message)
    if args.command == "check":
        from prober import check

        return check.run(args, loaded)
    return _run(args.start(loaded, args))


def _escape_unencodable() -> None:
    """Prints an escape for characters that the terminal cannot encode, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(work: Coroutine[Any, Any, None]) -> int:
    """Runs one command and returns its exit code. An error that the user can correct is printed as one line."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_and_cancel_rest(work))
    except KeyboardInterrupt:
        return 130
    except StartError as error:
        return _report(error)
    except BaseExceptionGroup as group:
        known, unknown = group.split(StartError)
        if known is not None and unknown is None:
            return _report(_first(known))
        log.critical("the program ends because of a defect", exc_info=group)
        return DEFECT
    except Exception:  # logged with its traceback, and with its own exit code
        log.critical("the program ends because of a defect", exc_info=True)
        return DEFECT
    return 0


def _first(group: BaseExceptionGroup[StartError]) -> StartError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _report(error: StartError) -> int:
    print(f"sla-monitor: {error}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    main()
