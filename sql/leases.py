"""How long a lease of a room lives, for those who renew leases and those who end them."""

LEASE_S = 15.0
