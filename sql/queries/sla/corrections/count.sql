-- The number of corrections that pass all filters that are not NULL.
SELECT count(*) AS total
FROM sla_listed_corrections(%(service)s, %(start)s, %(end)s, %(withdrawn)s)
