-- Takes the locks of those duties that no other worker holds, until this session ends. Also renews the session.
SELECT duty
FROM unnest(%(duties)s::text[]) AS duty
WHERE pg_try_advisory_lock(hashtextextended('sla-monitor worker ' || duty, 0))
