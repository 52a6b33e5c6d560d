"""A test oracle: it computes the expected figures from raw rows in plain Python. A driver compares them with a
database."""
