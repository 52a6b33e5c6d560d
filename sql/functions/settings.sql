CREATE OR REPLACE FUNCTION reporting_time_zone() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT time_zone FROM installation);

COMMENT ON FUNCTION reporting_time_zone IS 'the zone that days and months belong to (SLA_MONITOR_TIMEZONE)';

-- Raw checks are complete from here on, with a day to spare: older ones are not taken in, and what was computed from them is
-- never computed again.
CREATE OR REPLACE FUNCTION oldest_check() RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT greatest(present() - retention, complete_since) + interval '1 day' FROM installation);

-- In percent, two decimals, rounded down, so that 100.00 means no downtime at all; NULL where there is no data.
CREATE OR REPLACE FUNCTION uptime_number(down_seconds numeric, covered_seconds numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN covered_seconds > 0 THEN trunc(100 * (covered_seconds - down_seconds) / covered_seconds, 2) END;

-- The same as JSON has it: a text, '-' where there is no data.
CREATE OR REPLACE FUNCTION uptime_percent(down_seconds numeric, covered_seconds numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(to_char(uptime_number(down_seconds, covered_seconds), 'FM990.00'), '-');

-- How long a check speaks for the present: two missed slots and a minute to be written. After that its service is unknown.
CREATE OR REPLACE FUNCTION check_lifetime(interval_seconds integer) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (2 * interval_seconds + 60) * interval '1 second';

-- One batch is recorded at a time. What a row changes depends on what is already there (is it the newest? does it open an
-- outage?), and two writers that decide at once could both be wrong. Held to the end of the transaction.
CREATE OR REPLACE FUNCTION lock_recording() RETURNS void
    LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('sla-monitor recording', 0));
