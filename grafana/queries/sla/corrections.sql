-- The corrections in the month that have not been withdrawn, the latest first.
SELECT starts_at AS "Start", ends_at AS "End", seconds AS "Length", effect AS "Counts as", category AS "Category",
       coalesce(subject, scope) AS "For", reason AS "Reason", author AS "Author"
FROM (SELECT to_date('$month', 'YYYY-MM') AS first_day) AS month
CROSS JOIN analytics.worker_v1
JOIN analytics.corrections_v1 ON starts_at < (first_day + interval '1 month') AT TIME ZONE worker_v1.time_zone
                             AND ends_at > first_day::timestamp AT TIME ZONE worker_v1.time_zone
WHERE withdrawn_at IS NULL
ORDER BY starts_at DESC
LIMIT 200
