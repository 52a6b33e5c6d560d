-- Applies the services that one file declares, in one statement: all of them or none. Services that the file no longer
-- declares are paused and released from it, not deleted, so that a line removed by mistake does not delete a history. A
-- row that is already as declared is not updated, so that no process is notified without a change.
WITH declared AS (
    SELECT * FROM jsonb_populate_recordset(NULL::services, %(services)s)
), released AS (
    UPDATE services
    SET enabled = false, declared_in = NULL
    WHERE declared_in = %(file)s AND id NOT IN (SELECT id FROM declared)
    RETURNING id
), applied AS (
    INSERT INTO services (id, name, description, check_config, interval_seconds, timeout_ms, degraded_after_ms, retries,
                          group_name, tags, enabled, public, declared_in)
    SELECT id, name, description, check_config, interval_seconds, timeout_ms, degraded_after_ms, retries,
           group_name, tags, enabled, public, %(file)s
    FROM declared
    ORDER BY id
    ON CONFLICT (id) DO UPDATE
    SET (name, description, check_config, interval_seconds, timeout_ms, degraded_after_ms, retries, group_name, tags, enabled,
         public, declared_in)
      = (excluded.name, excluded.description, excluded.check_config, excluded.interval_seconds, excluded.timeout_ms,
         excluded.degraded_after_ms, excluded.retries, excluded.group_name, excluded.tags, excluded.enabled, excluded.public,
         excluded.declared_in)
    WHERE to_jsonb(services) - '{demo,created_at,updated_at}'::text[]
          IS DISTINCT FROM to_jsonb(excluded) - '{demo,created_at,updated_at}'::text[]
    RETURNING id
)
SELECT id, 'applied' AS outcome FROM applied
UNION ALL
SELECT id, 'released' FROM released
ORDER BY id
