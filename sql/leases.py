"""The lifetime of a presence lease: the API renews its leases, the worker deletes expired ones."""

LEASE_S = 15.0
"""In seconds."""
