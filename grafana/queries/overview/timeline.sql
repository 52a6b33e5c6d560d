-- The states (0: operational, 2: outage) of the twenty services with the longest outages in the range: a row for each change.
WITH bounds AS (
    SELECT $__timeFrom()::timestamptz AS low, $__timeTo()::timestamptz AS high
), spans AS (
    SELECT service_id, greatest(started_at, low) AS starts_at, least(ended_at, high) AS ends_at, low, high
    FROM analytics.outages_v1
    CROSS JOIN bounds
    WHERE started_at < high AND coalesce(ended_at, 'infinity') > low
), shown AS (
    SELECT service_id, low FROM spans GROUP BY service_id, low ORDER BY sum(ends_at - starts_at) DESC, service_id LIMIT 20
), changes AS (
    SELECT service_id, starts_at AS at, 2 AS state FROM spans
    UNION ALL
    SELECT service_id, ends_at, 0 FROM spans WHERE ends_at < high
    UNION ALL
    SELECT service_id, low, 0 FROM shown
)
SELECT DISTINCT ON (at, metric) at AS "time", coalesce(name, service_id) AS metric, changes.state
FROM changes
JOIN shown USING (service_id)
LEFT JOIN analytics.services_v1 USING (service_id)
ORDER BY at, metric, changes.state DESC
