"""The groups of measurements, one module each. `measure(run)` yields the results of a group."""
