"""Random requests after the published description, as everybody there can be: no fault of ours, nothing undescribed.

SCHEMATHESIS_EXAMPLES says how many for each operation; `make campaign` tries fifty.
"""

import os
import sys
from pathlib import Path

import anyio
import pytest

import sql
from tests.api.conftest import add_service, create_user, running_api

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "allow_header_conformance",
)
"""Not those that count a 400 for what no schema can say (a service that does not exist) as a mistake."""
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "2"))
PATIENCE_S = 240 + 60 * EXAMPLES


@pytest.mark.parametrize("role", ["anonymous", "viewer", "reporter", "admin", "token"])
async def test_every_answer_is_as_described(any_database: str, home: Path, role: str) -> None:
    async with running_api(any_database) as api, await sql.connect(any_database, application="test") as db:
        await add_service(db, "shop")
        headers = {} if role == "anonymous" else (await create_user(db, "admin" if role == "token" else role)).headers
        if role == "token":
            made = await api.http.post("/api/tokens", json={"name": "robot", "role": "admin"}, headers=headers)
            headers = {"Authorization": f"Bearer {made.json()['secret']}"}
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{api.http.base_url}/openapi.json"]
        command += ["--checks", ",".join(CHECKS), "--phases", "examples,fuzzing", "--max-examples", str(EXAMPLES)]
        command += ["--exclude-path", "/api/auth/logout", "--suppress-health-check", "all", "--no-color"]
        command += [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
        with anyio.fail_after(PATIENCE_S):
            ran = await anyio.run_process(command, cwd=home, check=False, stderr=None)
    told = ran.stdout.decode()
    assert ran.returncode == 0, told
    assert " passed" in told
