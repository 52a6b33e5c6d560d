"""An oracle of our own: what the product must answer, from raw rows in plain Python, and a driver that asks it."""
