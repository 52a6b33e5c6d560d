-- The product's clock as the session sets it (bench.present); the real one in sessions that do not.
CREATE OR REPLACE FUNCTION present() RETURNS timestamptz LANGUAGE sql STABLE
    RETURN coalesce(nullif(current_setting('bench.present', true), '')::timestamptz, now());
CREATE OR REPLACE FUNCTION present_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    RETURN coalesce(nullif(current_setting('bench.present', true), '')::timestamptz, clock_timestamp())
