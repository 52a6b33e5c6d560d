-- The clock that the product goes by, for questions of the benchmark.
CREATE OR REPLACE FUNCTION bench_present() RETURNS timestamptz LANGUAGE sql STABLE RETURN now() + {offset}::interval
