"""The arguments of `sla-monitor report`."""

import argparse

from sla_monitor.settings import Settings

LANGUAGES = ("en", "ko")
FORMATS = ("table", "json", "csv", "xlsx", "html", "pdf")
"""`table` is for a terminal, the others are those of the API."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments, which are those of GET /api/sla/report."""
    parser.add_argument("--period", help="a month (2026-10), a quarter (2026-Q3) or a year; by default this month")
    parser.add_argument("--from", dest="from_", metavar="DAY", help="the first day, instead of a period")
    parser.add_argument("--to", metavar="DAY", help="the last day")
    for name, meaning in (("service", "the id of a service"), ("group", "a group"), ("tag", "a tag")):
        parser.add_argument(
            f"--{name}", action="append", default=[], metavar=name.upper(), help=f"{meaning}; can be repeated"
        )
    parser.add_argument("--as-of", metavar="TIME", help="policies and corrections as they were known at this time")
    parser.add_argument(
        "--public", action="store_true", help="only what anonymous clients see: no private services and no authors"
    )
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="the language (en)")
    parser.add_argument(
        "--format", choices=FORMATS, help="by default the ending of the output file, or a table for a terminal"
    )
    parser.add_argument("--output", metavar="FILE", help="the file to write; by default the standard output")
    parser.set_defaults(start=_report)


async def _report(loaded: Settings, args: argparse.Namespace) -> None:
    from sla_monitor.command.report import report

    await report(loaded, args)
