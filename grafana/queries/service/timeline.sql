-- The states that each location saw, as numbers: a row for each change, and for the start of the range.
SELECT greatest(starts_at, $__timeFrom()::timestamptz)                                 AS "time",
       location                                                                        AS metric,
       array_position('{operational,degraded,outage,unknown,maintenance}', state) - 1 AS state
FROM analytics.episodes_v1
WHERE service_id = '$service' AND starts_at <= $__timeTo()::timestamptz AND coalesce(ends_at, 'infinity') > $__timeFrom()::timestamptz
ORDER BY 1, 2
