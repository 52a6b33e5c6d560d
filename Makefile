# Four words are all there is to know; each expects the environment that the README's test command makes.
.PHONY: check test campaign bench

check:
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

test:
	.venv/bin/pytest -n 4 --dist worksteal

# As long as CAMPAIGN_SECONDS says, an hour by itself, after the suite with what one engine is enough for on each, fifty
# requests for each operation of the API, and two thousand histories for the oracle on each engine.
campaign:
	SLA_MONITOR_TEST_ALL=1 .venv/bin/pytest -n 4 --dist worksteal
	SCHEMATHESIS_EXAMPLES=50 .venv/bin/pytest tests/e2e/test_schemathesis.py
	ORACLE_EXAMPLES=2000 .venv/bin/pytest tests/oracle/test_oracle.py
	.venv/bin/pytest -m campaign

bench:
	.venv/bin/python -m bench
