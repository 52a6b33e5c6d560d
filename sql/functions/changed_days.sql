-- Marks stored days of SLA accounting (sla_days, sla_strips) as out of date. Called in the transaction of the change; readers
-- compute these days until the worker has stored them again.

-- The stored days of these services are out of date from the local day of `since` on, unless that is in the future. Marks of services
-- without a policy are deleted by the worker: whether one applies may change in a concurrent transaction.
CREATE OR REPLACE FUNCTION note_changed_days(service_ids text[], since timestamptz) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    zone CONSTANT text := reporting_time_zone();
BEGIN
    IF since < local_day_start(local_date(present(), zone) + 1, zone) AND cardinality(service_ids) > 0 THEN
        INSERT INTO sla_changed_days (service_id, first_day)
        SELECT service_id, local_date(since, zone) FROM unnest(service_ids) AS service_id;
        PERFORM pg_notify('sla_monitor', 'days');
    END IF;
END
$$;

-- The same for episodes that have changed from `lows` on. An outage that is longer or shorter now may also count, or not, before
-- that, within the shortest outage of a policy. Checks that are recorded in order change no day that is over.
CREATE OR REPLACE FUNCTION note_changed_episodes(service_ids text[], lows timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    today    CONSTANT timestamptz := local_day(present(), reporting_time_zone());
    shortest interval;
    changed  record;
BEGIN
    shortest := (SELECT coalesce(max(shortest_outage_seconds), 0) FROM sla_policy_versions) * interval '1 second';
    FOR changed IN
        SELECT service_id, min(low) - shortest AS since
        FROM unnest(service_ids, lows) AS episodes (service_id, low)
        WHERE low - shortest < today
        GROUP BY service_id
    LOOP
        PERFORM note_changed_days(ARRAY[changed.service_id], changed.since);
    END LOOP;
END
$$;
