-- How the error budget of a service was spent in a window until now: at most `most` points of sla_burn_down. All of them if
-- they fit, otherwise points at equal distances in their order, the first and the last one included.
SELECT at, left_seconds::float8 AS left_seconds
FROM (
    SELECT at, left_seconds, row_number() OVER (ORDER BY at) - 1 AS position, count(*) OVER () AS total
    FROM sla_burn_down(%(service_id)s, %(low)s, %(high)s, coalesce(%(known_at)s::timestamptz, present()))
) AS points
WHERE total <= %(most)s OR position = ceil(floor(position * (%(most)s - 1.0) / (total - 1)) * (total - 1) / (%(most)s - 1.0))
ORDER BY at
