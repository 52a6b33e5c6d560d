-- One page of the incidents that match all filters that are not NULL, newest first, and their number. Days are those of
-- the reporting time zone. `to_time` is not included, `to_day` is. `text` is found without regard to case, in the
-- newest 10,000 incidents that match the other filters: no index helps, and the route is public.
WITH clock AS MATERIALIZED (
    SELECT local_day_start(%(from_day)s::date, zone)   AS first_moment,
           local_day_start(%(to_day)s::date + 1, zone) AS end_moment
    FROM (SELECT reporting_time_zone() AS zone) AS reporting
), passing AS (
    SELECT incidents.id, created_at, title, description
    FROM incidents, clock
    WHERE (public OR %(internal)s)
      AND (%(statuses)s::incident_status[] IS NULL OR status = ANY (%(statuses)s::incident_status[]))
      AND (%(severities)s::incident_severity[] IS NULL OR severity = ANY (%(severities)s::incident_severity[]))
      AND (%(priorities)s::incident_priority[] IS NULL OR priority = ANY (%(priorities)s::incident_priority[]))
      AND (%(services)s::text[] IS NULL OR EXISTS (
          SELECT
          FROM incident_services
          LEFT JOIN services ON services.id = service_id
          WHERE incident_id = incidents.id AND service_id = ANY (%(services)s::text[]) AND (services.public OR %(internal)s)
      ))
      AND (%(from_time)s::timestamptz IS NULL OR created_at >= %(from_time)s)
      AND (first_moment IS NULL OR created_at >= first_moment)
      AND (%(to_time)s::timestamptz IS NULL OR created_at < %(to_time)s)
      AND (end_moment IS NULL OR created_at < end_moment)
    ORDER BY created_at DESC, incidents.id DESC
    LIMIT CASE WHEN %(text)s::text IS NOT NULL THEN 10000 END
), found AS MATERIALIZED (
    SELECT id, created_at
    FROM passing
    WHERE %(text)s::text IS NULL
       OR strpos(lower(concat_ws(E'\n', id, title, description)), lower(%(text)s)) > 0
       OR (SELECT bool_or(strpos(lower(incident_updates.description), lower(%(text)s)) > 0)
           FROM incident_updates
           WHERE incident_id = passing.id)
), page AS (
    SELECT incidents
    FROM incidents
    WHERE id IN (SELECT id FROM found ORDER BY created_at DESC, id DESC LIMIT %(limit)s OFFSET %(offset)s)
)
SELECT (SELECT count(*) FROM found) AS total,
       (SELECT coalesce(jsonb_agg(incident_json(incidents, %(internal)s, false)
                                  ORDER BY (incidents).created_at DESC, (incidents).id DESC), '[]')
        FROM page) AS incidents
