-- How many tasks of an upgrade from release 0.1 are left, and the engine; NULL where none is under way.
SELECT CASE WHEN legacy THEN (SELECT count(*) FROM upgrade_tasks) END AS tasks, engine
FROM rollup_state
CROSS JOIN installation
