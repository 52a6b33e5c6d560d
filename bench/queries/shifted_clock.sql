-- The product's clock, running `offset` beside the real one.
CREATE OR REPLACE FUNCTION present() RETURNS timestamptz LANGUAGE sql STABLE RETURN now() + {offset}::interval;
CREATE OR REPLACE FUNCTION present_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
    RETURN clock_timestamp() + {offset}::interval
