-- One maintenance window with its occurrences in a period. Anonymous clients get public windows with their public
-- services.
SELECT id,
       title,
       description,
       ARRAY(SELECT services.id
             FROM unnest(affected_services) WITH ORDINALITY AS named (id, position)
             JOIN services ON services.id = named.id
             WHERE services.public OR %(internal)s
             ORDER BY position)                                      AS affected_services,
       starts_at,
       ends_at,
       rrule,
       time_zone,
       public,
       maintenance_status(id)                                        AS status,
       ARRAY(SELECT starts_at
             FROM maintenance_occurrences
             WHERE window_id = id AND tstzrange(starts_at, ends_at) && tstzrange(%(from)s, %(to)s)
             ORDER BY starts_at)                                     AS occurrence_starts,
       ARRAY(SELECT ends_at
             FROM maintenance_occurrences
             WHERE window_id = id AND tstzrange(starts_at, ends_at) && tstzrange(%(from)s, %(to)s)
             ORDER BY starts_at)                                     AS occurrence_ends,
       CASE WHEN %(internal)s THEN author END                        AS author,
       created_by,
       created_at,
       CASE WHEN %(internal)s THEN updated_at ELSE public_updated_at END AS updated_at,
       CASE WHEN %(internal)s THEN version ELSE public_version END   AS version
FROM maintenance_windows
WHERE id = %(id)s AND deleted_at IS NULL AND (public OR %(internal)s)
