-- The period of the demo's generated past: 90 local days, today included, on a grid of five minutes, within the retention. It ends with
-- the last complete five minutes: later checks are real ones.
SELECT greatest(((now() AT TIME ZONE time_zone)::date - 89)::timestamp AT TIME ZONE time_zone,
                date_bin('5 minutes', now() - retention + interval '25 hours', timestamptz '2000-01-01 00:00Z')) AS first,
       date_bin('5 minutes', now(), timestamptz '2000-01-01 00:00Z')                                          AS until
FROM installation
