-- Compresses every chunk of every table that has a columnstore.
SELECT count(compress_chunk(chunk, if_not_compressed => true))
FROM (
    SELECT format('%I.%I', hypertable_schema, hypertable_name)::regclass AS relation
    FROM timescaledb_information.hypertables
    WHERE compression_enabled
    UNION ALL
    SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass
    FROM timescaledb_information.continuous_aggregates
    WHERE compression_enabled
) AS compressible
CROSS JOIN LATERAL show_chunks(relation) AS chunk
