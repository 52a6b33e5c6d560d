-- The time of the report, and the zone and day of the installation.
SELECT present() AS now, reporting_time_zone() AS zone, local_date(present(), reporting_time_zone()) AS today
