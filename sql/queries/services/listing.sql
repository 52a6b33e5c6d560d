-- All services, for the command line.
SELECT id, name, check_config, CASE WHEN enabled THEN 'yes' ELSE 'no' END AS enabled
FROM services
ORDER BY id
