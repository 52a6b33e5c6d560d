-- The present day in the reporting time zone.
SELECT local_date(present(), reporting_time_zone())
