-- The day after the present one in a time zone.
SELECT local_date(present(), %(zone)s) + 1
