"""Programs that the benchmark starts: servers to probe, clients, and the references that the product is compared with.

Each program is a process (`python -m bench.programs.<name>`), so that its CPU time is measured by itself. It exchanges
lines of JSON with the benchmark over stdin and stdout: see `messages.py`.
"""
