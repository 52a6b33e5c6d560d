-- The roles of the programs that the cluster does not have.
SELECT name
FROM unnest('{sla_prober, sla_worker, sla_api, sla_analyst}'::name[]) WITH ORDINALITY AS listed (name, number)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
ORDER BY number
