"""`sla-monitor report`: the table, files, invalid arguments, and the progress bar."""

import io
import os
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import get_args

import anyio
import msgspec
import openpyxl
import pypdf
import pytest

from sla_monitor.command import report_arguments
from sla_monitor.reports.formats import FORMATS
from sla_monitor.reports.structure import Report
from sla_monitor.texts.languages import Language
from tests.api.conftest import add_service
from tests.api.test_sla_figures import NOON, add_policy, watch
from tests.api.test_sla_report import correct
from tests.e2e.program import COMMAND, ONE_SHOT_PATIENCE_S, command, environment
from tests.sql.batches import Connection, connected, until_true

pytestmark = pytest.mark.one_engine
WAITS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
async def reported(database: str) -> AsyncIterator[Connection]:
    """A connection to a database with a service that was down for 6 minutes in November 2026."""
    async with connected(database) as db:
        await add_policy(db)
        await watch(db, failed=range(31, 37))
        await add_service(db, "vault", name="Vault", public=False)
        await correct(db, **{"from": NOON - timedelta(minutes=50), "to": NOON - timedelta(minutes=45)})
        yield db


def report(database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    ended = command("report", *arguments, DATABASE_URL=database)
    assert ended.returncode == 0, ended.stderr
    return ended


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_the_report_is_a_table(database: str, reported: Connection) -> None:
    shown = report(database, "--period", "2026-11").stdout
    assert shown.splitlines()[0] == "Service level report: November 2026 – SLA Monitor"
    [line] = [line for line in shown.splitlines() if line.startswith("Shop ") and "%" in line]
    assert line.split()[:5] == ["Shop", "99.9%", "90.00%", "×", "Missed"]
    assert "Vault" in shown and "ann" in shown and "\x1b" not in shown
    public = report(database, "--period", "2026-11", "--public", "--lang", "ko").stdout
    assert public.startswith("서비스 수준 보고서: 2026년 11월")
    assert "Vault" not in public and "ann" not in public
    chosen = report(database, "--from", "2026-11-15", "--to", "2026-11-15", "--service", "vault").stdout
    assert "Vault" in chosen and "Shop" not in chosen


async def test_files_are_written_in_every_format(database: str, reported: Connection, tmp_path: Path) -> None:
    for name in ("r.json", "r.csv", "r.xlsx", "r.html", "r.pdf"):
        file = tmp_path / name
        ended = report(database, "--period", "2026-11", "--output", str(file))
        assert (ended.stdout, ended.stderr) == (f"report written to {file}\n", "")
    decoded = msgspec.json.decode((tmp_path / "r.json").read_bytes(), type=Report)
    assert [service.uptime for service in decoded.services] == ["90.00", "-"]
    assert b"shop,Shop," in (tmp_path / "r.csv").read_bytes()
    assert openpyxl.load_workbook(tmp_path / "r.xlsx").sheetnames[0] == "Report"
    assert "90.00%" in pypdf.PdfReader(tmp_path / "r.pdf").pages[0].extract_text()
    assert "<h1>November 2026</h1>" in (tmp_path / "r.html").read_text("utf-8")
    assert report(database, "--period", "2026-11", "--format", "csv").stdout.startswith("service_id,service,")
    own = environment(DATABASE_URL=database)
    piped = await anyio.run_process([*COMMAND, "report", "--period", "2026-11", "--format", "pdf"], env=own)
    assert len(pypdf.PdfReader(io.BytesIO(piped.stdout)).pages) >= 1


async def test_invalid_arguments_are_one_line(database: str, reported: Connection, tmp_path: Path) -> None:
    for arguments, text in (
        (["--period", "2026-13"], "period: must be a month"),
        (["--period", "2025"], "period: must not end before the first check, on 2026-11-15"),
        (["--service", "none"], "service: names an unknown service"),
        (["--as-of", "now"], "as-of: must be a time"),
        (["--period", "2026-11", "--output", str(tmp_path / "r.docx")], "choose one with --format"),
        (["--period", "2026-11", "--output", str(tmp_path / "none" / "r.csv")], "cannot be written: No such file"),
    ):
        ended = command("report", *arguments, DATABASE_URL=database)
        assert (ended.returncode, ended.stdout) == (2, ""), arguments
        [line] = ended.stderr.splitlines()
        assert text in line
    assert names(tmp_path) == []


async def test_a_bar_appears_on_a_terminal_after_a_second(database: str, reported: Connection) -> None:
    primary, secondary = os.openpty()
    async with reported.transaction():
        await reported.execute("LOCK TABLE services IN ACCESS EXCLUSIVE MODE")
        started = await anyio.open_process(
            [*COMMAND, "report", "--period", "2026-11"],
            env=environment(DATABASE_URL=database, TERM="xterm"),
            stderr=secondary,
        )
        os.close(secondary)
        async with connected(database) as watching:
            await until_true(watching, WAITS)
        shown = b""
        with anyio.fail_after(ONE_SHOT_PATIENCE_S):
            while b"report" not in shown:
                shown += await anyio.to_thread.run_sync(os.read, primary, 1000)
    assert started.stdout is not None
    output = b"".join([chunk async for chunk in started.stdout])
    assert await started.wait() == 0
    assert output.decode().startswith("Service level report: November 2026")
    os.close(primary)


def test_the_choices_of_arguments_are_those_of_the_renderers() -> None:
    assert ("table", *FORMATS) == report_arguments.FORMATS
    assert get_args(Language) == report_arguments.LANGUAGES
