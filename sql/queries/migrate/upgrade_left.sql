-- The number of tasks that are left of an upgrade from release 0.1 (NULL without an upgrade), and the engine.
SELECT CASE WHEN legacy THEN (SELECT count(*) FROM upgrade_tasks) END AS tasks, engine
FROM rollup_state
CROSS JOIN installation
