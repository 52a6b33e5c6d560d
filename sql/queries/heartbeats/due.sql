-- The heartbeats for which a check has to be recorded now: a report is late, the last check no longer stands for the
-- present, or no next report is due although the job has reported before. At most `most`; the rest follows in the next
-- batch. The caller holds the recording lock.
SELECT service_id, check_config, interval_seconds, enabled, started_at, due_at, late_at, recorded_at, covered_to, failing,
       last_ping_at, present_clock() AS now
FROM heartbeats
JOIN services ON services.id = service_id
WHERE enabled AND (least(late_at, covered_to) <= present() OR due_at IS NULL AND last_ping_at IS NOT NULL)
ORDER BY least(late_at, covered_to) NULLS FIRST
LIMIT %(most)s
