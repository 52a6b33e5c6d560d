-- The present month in the reporting time zone, such as 2026-11.
SELECT to_char(local_date(present(), reporting_time_zone()), 'YYYY-MM') AS month
