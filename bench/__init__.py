"""The benchmark. `python -m bench` runs the groups of measurements in `bench/groups/` and prints one table.

Most figures have a reference: another program, or the library below the product by itself. The rounds of the product
and of its reference alternate, so that both run under the same load of the machine.
"""
