-- Stores the days of at most this number of services, and returns how many it were.
SELECT refresh_sla_days(%(most)s)
