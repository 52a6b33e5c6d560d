-- The months since the first check, the present one first, for the variable `month`.
SELECT to_char(month, 'YYYY-MM') AS month
FROM (SELECT coalesce(min(starts_at), now()) AS started_at FROM analytics.episodes_v1) AS episodes
CROSS JOIN analytics.worker_v1
CROSS JOIN LATERAL generate_series(date_trunc('month', started_at AT TIME ZONE time_zone), now() AT TIME ZONE time_zone, interval '1 month')
    AS month
ORDER BY month DESC
