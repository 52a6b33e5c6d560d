-- present() and present_clock() return the real time plus an offset, which may be negative.
CREATE OR REPLACE FUNCTION present() RETURNS timestamptz LANGUAGE sql STABLE RETURN now() + {offset}::interval;
CREATE OR REPLACE FUNCTION present_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    RETURN clock_timestamp() + {offset}::interval
