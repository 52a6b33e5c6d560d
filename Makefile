# Four words are all there is to know; each expects the environment that the README's test command makes.
.PHONY: check test campaign bench

check:
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

test:
	.venv/bin/pytest -n 4 --dist worksteal

# As long as CAMPAIGN_SECONDS says, an hour by itself, after two thousand histories for the oracle on each engine.
campaign:
	ORACLE_EXAMPLES=2000 .venv/bin/pytest tests/oracle/test_oracle.py
	.venv/bin/pytest -m campaign

bench:
	.venv/bin/python -m bench
