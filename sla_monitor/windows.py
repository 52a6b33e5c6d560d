"""Maintenance windows: how far ahead recurring ones are stored."""

from datetime import timedelta

AHEAD = timedelta(days=400)
"""How far ahead occurrences are stored: more than a year, so that a yearly window has at least one."""
LEAST_AHEAD = AHEAD - timedelta(days=30)
"""A window whose stored occurrences end earlier than this is extended."""
