-- The time from the scheduled time of a check to its end, over the last quarter of an hour.
SELECT location                                                                                               AS "Location",
       count(*)                                                                                               AS "Checks",
       percentile_disc(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - scheduled_at))            AS "p50",
       percentile_disc(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - scheduled_at))           AS "p95",
       max(extract(epoch FROM finished_at - scheduled_at))                                                    AS "Max"
FROM analytics.checks_v1
WHERE scheduled_at > now() - interval '15 minutes'
GROUP BY location
ORDER BY location
