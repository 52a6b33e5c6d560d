-- Takes those of these duties that no other worker holds, until this session ends. It keeps the session alive as well.
SELECT duty
FROM unnest(%(duties)s::text[]) AS duty
WHERE pg_try_advisory_lock(hashtextextended('sla-monitor worker ' || duty, 0))
