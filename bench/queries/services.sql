-- Creates the services 1 to `count`. They use `urls` in turn. The number of the service is appended to each URL.
INSERT INTO services (id, name, endpoint_url, interval_seconds)
SELECT 'service-' || n, 'Service ' || n, (%(urls)s::text[])[1 + n %% cardinality(%(urls)s::text[])] || n, %(interval_seconds)s
FROM generate_series(1, %(count)s) AS n
