"""The SLA report: its figures as one structure (structure.py, gathering.py), and a renderer for each format.

Formats are listed in formats.py. A renderer gets the structure alone, so an issued report stays as it was.
"""
