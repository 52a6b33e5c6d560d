# All targets need the virtual environment .venv that the README's test command creates.
.PHONY: check test campaign bench grafana lock

check:
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/pytest -q tests/test_sql_files.py

test:
	.venv/bin/pytest -n 6 --dist worksteal

# Runs the suite with every test on every engine, then fifty random requests for each operation of the API, then two
# thousand histories for the oracle on each engine, and then the campaigns for CAMPAIGN_SECONDS (3600 by default).
campaign:
	SLA_MONITOR_TEST_ALL=1 .venv/bin/pytest -n 6 --dist worksteal
	SCHEMATHESIS_EXAMPLES=50 .venv/bin/pytest tests/e2e/test_schemathesis.py
	ORACLE_EXAMPLES=2000 .venv/bin/pytest tests/oracle/test_oracle.py
	.venv/bin/pytest -m campaign

bench:
	.venv/bin/python -m bench

# Writes grafana/dashboards/*.json.
grafana:
	.venv/bin/python -m grafana

# Writes the versions and hashes of all dependencies from pyproject.toml. Versions that are locked stay, unless
# `make lock UPGRADE=--upgrade` (all) or `UPGRADE="--upgrade-package NAME"` (one) selects new ones.
LOCK = .venv/bin/uv pip compile -q --no-config --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" $(UPGRADE) pyproject.toml

lock:
	$(LOCK) -o requirements.txt
	$(LOCK) --extra dev -c requirements.txt -o requirements-dev.txt
