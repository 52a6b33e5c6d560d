-- present() and present_clock() return the session's setting bench.present, or the real time if it is not set.
CREATE OR REPLACE FUNCTION present() RETURNS timestamptz LANGUAGE sql STABLE
    RETURN coalesce(nullif(current_setting('bench.present', true), '')::timestamptz, now());
CREATE OR REPLACE FUNCTION present_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    RETURN coalesce(nullif(current_setting('bench.present', true), '')::timestamptz, clock_timestamp())
