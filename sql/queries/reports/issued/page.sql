-- One page of the issued reports, newest first. `changes`: the services whose uptime or verdict differs from the revision
-- before, with both values; a service that one of the two does not have, has no values there.
SELECT later.id,
       later.first_day,
       later.last_day,
       later.scope,
       later.as_of,
       later.revision,
       later.author,
       later.issued_at,
       coalesce(changes, '[]') AS changes
FROM (SELECT * FROM sla_reports ORDER BY issued_at DESC, id LIMIT %(limit)s OFFSET %(offset)s) AS later
LEFT JOIN sla_reports AS earlier
  ON earlier.first_day = later.first_day AND earlier.last_day = later.last_day
 AND md5(earlier.scope::text) = md5(later.scope::text) AND earlier.revision = later.revision - 1
LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object(
               'service', id,
               'name', coalesce(latter.name, former.name),
               'uptime', jsonb_build_array(former.uptime, latter.uptime),
               'verdict', jsonb_build_array(former.verdict, latter.verdict)
           ) ORDER BY id) AS changes
    FROM jsonb_to_recordset(earlier.report -> 'services') AS former (id text, name text, uptime text, verdict text)
    FULL JOIN jsonb_to_recordset(later.report -> 'services') AS latter (id text, name text, uptime text, verdict text) USING (id)
    WHERE (former.uptime, former.verdict) IS DISTINCT FROM (latter.uptime, latter.verdict)
) AS compared ON earlier.id IS NOT NULL
ORDER BY later.issued_at DESC, later.id
