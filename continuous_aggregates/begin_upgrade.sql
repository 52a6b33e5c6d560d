-- Once: an installation of release 0.1 has a past to bring along.
DO $$
BEGIN
    IF upgrade_pending() THEN
        PERFORM lock_recording();
        UPDATE rollup_state SET watermark = date_bin('15 minutes', present(), '2000-01-01 00:00Z');
        PERFORM plan_upgrade();
    END IF;
END
$$;
