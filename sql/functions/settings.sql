CREATE OR REPLACE FUNCTION reporting_time_zone() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT time_zone FROM installation);

COMMENT ON FUNCTION reporting_time_zone IS 'the zone that days and months belong to (SLA_MONITOR_TIMEZONE)';

-- The time from which on raw checks are complete, plus a day as a margin. Older checks are not recorded, and figures of
-- earlier times are never computed again.
CREATE OR REPLACE FUNCTION oldest_check() RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT greatest(present() - retention, complete_since) + interval '1 day' FROM installation);

-- The uptime in percent with two decimals, rounded down, so that 100.00 means no downtime at all; NULL without data.
CREATE OR REPLACE FUNCTION uptime_number(down_seconds numeric, covered_seconds numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN covered_seconds > 0 THEN trunc(100 * (covered_seconds - down_seconds) / covered_seconds, 2) END;

-- An uptime in percent as a text for JSON, rounded down to two decimals; '-' without data. Every uptime is written by this function.
CREATE OR REPLACE FUNCTION uptime_text(uptime numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(to_char(trunc(uptime, 2), 'FM990.00'), '-');

-- The same of seconds.
CREATE OR REPLACE FUNCTION uptime_percent(down_seconds numeric, covered_seconds numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN uptime_text(uptime_number(down_seconds, covered_seconds));

-- How long a check stands for the present: two missed slots and a minute for recording. After that its service is unknown.
CREATE OR REPLACE FUNCTION check_lifetime(interval_seconds integer) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (2 * interval_seconds + 60) * interval '1 second';

-- The recording lock, which is held to the end of the transaction. Only one transaction at a time records a batch, or
-- writes to latest_checks, episodes and rollups: the effect of a check depends on the checks before it (is it the
-- newest? does it begin an outage?).
CREATE OR REPLACE FUNCTION lock_recording() RETURNS void
    LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('sla-monitor recording', 0));
