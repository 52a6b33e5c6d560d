-- Which functions this schema has: the new record_checks_v2(), and the replaceable clock.
SELECT to_regproc('record_checks_v2') IS NOT NULL AS recording, to_regproc('present') IS NOT NULL AS simulated
