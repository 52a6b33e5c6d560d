"""Writes docs/benchmark.md: the machine, the versions and the table. Keeps the part that is written by hand."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.probers import find_blackbox_exporter
from bench.processes import ROOT
from bench.report import HEADINGS, Result
from tests.browsers import find_browser

WRITTEN_BY_HAND = "## What limits the figures that miss their target"
_HINT = (
    "<!-- Written by hand. `python -m bench --output` keeps everything from this heading to the end of the file. -->"
)


def write(path: Path, results: Sequence[Result], facts: Mapping[str, str], closing: str) -> list[str]:
    """Replaces the document up to the part that is written by hand.

    Returns the titles of the results that miss their target and are not named in the part that is written by hand.
    """
    old = path.read_text("utf-8") if path.exists() else ""
    found = old.find(WRITTEN_BY_HAND)
    kept = old[found:] if found >= 0 else f"{WRITTEN_BY_HAND}\n\n{_HINT}\n"
    path.write_text(f"{_measured_part(results, facts, closing)}\n{kept}", "utf-8")
    return [result.title for result in results if result.verdict == "missed" and result.title not in kept]


def facts(engine_versions: Mapping[str, str]) -> dict[str, str]:
    """The command, the date, the machine and the versions of all programs."""
    versions = {
        "blackbox_exporter": _version(find_blackbox_exporter()),
        "Chromium": _version(find_browser()),
        "Commit": _output_of("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }
    return {
        "Command": " ".join(["python -m bench", *sys.argv[1:]]),
        "Date": f"{datetime.now(UTC):%Y-%m-%d}",
        "Machine": f"{os.cpu_count()} cores, {_processor()}, {_memory_gib():.0f} GiB of memory",
        "System": f"Linux {platform.release()}, Python {platform.python_version()}",
        **{f"Engine {name}": version for name, version in engine_versions.items()},
        **{name: version or "not installed" for name, version in versions.items()},
    }


def _measured_part(results: Sequence[Result], facts: Mapping[str, str], closing: str) -> str:
    lines = [
        "# Benchmark",
        "",
        "Written by `python -m bench --output`. A reference is measured in the same run as the product.",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        _table_row(HEADINGS),
        _table_row(["---"] * len(HEADINGS)),
        *(_table_row(result.cells()) for result in results),
        "",
        *closing.strip().splitlines(),
        "",
        "## How each figure was measured",
        "",
        *(f"- **{result.title}**: {' '.join(result.note.split())}" for result in results if result.note),
        "",
    ]
    return "\n".join(lines)


def _table_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3


def _version(program: str | Path | None) -> str:
    """The first version number in the output of `program --version`; empty if the program is not installed."""
    found = re.search(r"\d+(?:\.\d+)+", _output_of(str(program), "--version")) if program else None
    return found[0] if found else ""


def _output_of(*command: str) -> str:
    """Runs a command and returns its stdout and stderr; an empty text if it failed."""
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (run.stdout + run.stderr).strip() if run.returncode == 0 else ""
