-- The bins that response times are counted in. Here and not among the functions, since aggregates keep its results: it must
-- never change.
CREATE FUNCTION latency_bin(ms real) RETURNS smallint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURNS NULL ON NULL INPUT
    RETURN ceil(ln(greatest(ms, 0.0625)::double precision) / ln(1.04::double precision))::smallint;

COMMENT ON FUNCTION latency_bin IS
    'the logarithmic bin of a response time: bin b holds the times above 1.04^(b-1) and up to 1.04^b milliseconds';
