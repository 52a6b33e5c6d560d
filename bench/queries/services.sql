-- Services 1 to `count`. Their URLs are the given ones in turn, each with the number of the service at its end.
INSERT INTO services (id, name, endpoint_url, interval_seconds)
SELECT 'service-' || n, 'Service ' || n, (%(urls)s::text[])[1 + n %% cardinality(%(urls)s::text[])] || n, %(interval_seconds)s
FROM generate_series(1, %(count)s) AS n
