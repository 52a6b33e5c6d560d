"""The benchmark: `python -m bench` measures every line of the targets and prints one table of ratios.

Each figure stands beside a peer's or a limit's from the same run, in alternating rounds, because machines are noisy.
"""
