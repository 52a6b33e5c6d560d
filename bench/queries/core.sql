-- Which functions this schema has: the new record_checks_v2(), the replaceable clock, and the new watermark.
SELECT to_regproc('record_checks_v2') IS NOT NULL AS v2,
       to_regproc('present') IS NOT NULL          AS clock,
       to_regproc('rollup_watermark') IS NOT NULL AS rollups
