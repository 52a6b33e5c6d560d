"""Schemathesis sends random requests in each role. Each response must match the OpenAPI description.

SCHEMATHESIS_EXAMPLES is the maximum number of requests for each operation: 2 by default, 50 in `make campaign`.
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
"""The checks of Schemathesis, without those that treat a correct 400 as an error, for example for an unknown
service."""
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "2"))
PATIENCE_S = 240 + 60 * EXAMPLES


@pytest.mark.parametrize("role", ["anonymous", "viewer", "reporter", "admin", "token"])
async def test_every_response_matches_the_description(any_database: str, home: Path, role: str) -> None:
    async with running_api(any_database) as api, await sql.connect(any_database, application="test") as db:
        await add_service(db, "shop")
        headers = {} if role == "anonymous" else (await create_user(db, "admin" if role == "token" else role)).headers
        if role == "token":
            created = await api.http.post("/api/tokens", json={"name": "robot", "role": "admin"}, headers=headers)
            headers = {"Authorization": f"Bearer {created.json()['secret']}"}
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{api.http.base_url}/openapi.json"]
        command += ["--checks", ",".join(CHECKS), "--phases", "examples,fuzzing", "--max-examples", str(EXAMPLES)]
        command += ["--exclude-path", "/api/auth/logout", "--suppress-health-check", "all", "--no-color"]
        command += [part for name, value in headers.items() for part in ("--header", f"{name}: {value}")]
        with anyio.fail_after(PATIENCE_S):
            finished = await anyio.run_process(command, cwd=home, check=False, stderr=None)
    output = finished.stdout.decode()
    assert finished.returncode == 0, output
    assert " passed" in output
