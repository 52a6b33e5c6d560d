-- Alerts on error budgets.

-- The multi-window, multi-burn-rate alerts of the Google SRE workbook, chapter "Alerting on SLOs": an alert begins when the
-- burn rates of both windows are above the threshold, and ends when that of the short window is not.
CREATE OR REPLACE FUNCTION sla_alert_rules() RETURNS TABLE (severity text, long interval, short interval, threshold numeric)
    LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 3 AS
$$
VALUES ('page', interval '1 hour', interval '5 minutes', 14.4),
       ('page', interval '6 hours', interval '30 minutes', 6),
       ('ticket', interval '3 days', interval '6 hours', 1)
$$;

-- Which alerts begin (`begins`) or go on (`lasts`) now, for each service with a policy: a row for each rule, and one for a
-- budget of the current period that is spent. Services without a policy have no row.
CREATE OR REPLACE FUNCTION sla_judged_alerts()
    RETURNS TABLE (service_id text, policy_id uuid, version integer, kind text, severity text, window_seconds integer,
                   short_window_seconds integer, threshold numeric, burn_rate numeric, left_seconds numeric, begins boolean, lasts boolean)
    LANGUAGE sql STABLE AS
$$
WITH applied AS MATERIALIZED (
    SELECT service_id, policy_id, version
    FROM sla_applied(ARRAY(SELECT id FROM services), present())
    WHERE during @> present()
), periods AS MATERIALIZED (
    SELECT policy_id, version, first_day, last_day
    FROM (SELECT DISTINCT policy_id, version FROM applied) AS used
    JOIN sla_policy_versions USING (policy_id, version)
    CROSS JOIN LATERAL sla_period(policy_id, version, local_date(present(), time_zone)) AS period
), budgets AS MATERIALIZED (
    SELECT figures.service_id,
           sum(figures.spent_seconds)                                AS spent_seconds,
           sum(budget_seconds - coalesce(figures.spent_seconds, 0))  AS left_seconds
    FROM (SELECT first_day, last_day, array_agg(service_id) AS service_ids
          FROM applied
          JOIN periods USING (policy_id, version)
          GROUP BY first_day, last_day) AS groups
    CROSS JOIN LATERAL sla_figures(groups.service_ids, first_day, last_day, present()) AS figures
    GROUP BY figures.service_id
), rates AS MATERIALIZED (
    SELECT rates.*
    FROM (SELECT array_agg(service_id ORDER BY service_id) AS service_ids, array_agg(policy_id ORDER BY service_id) AS policies,
                 array_agg(version ORDER BY service_id) AS versions
          FROM applied
          HAVING count(*) > 0) AS listed
    CROSS JOIN LATERAL sla_burn_rates(listed.service_ids, policies, versions, present()) AS rates
)
SELECT service_id, policy_id, version, 'burning', rules.severity, extract(epoch FROM long)::integer, extract(epoch FROM short)::integer,
       rules.threshold, long_rates.rate, left_seconds,
       long_rates.rate > rules.threshold AND short_rates.rate > rules.threshold,
       short_rates.rate > rules.threshold
FROM applied
JOIN budgets USING (service_id)
CROSS JOIN sla_alert_rules() AS rules
JOIN rates AS long_rates USING (service_id)
JOIN rates AS short_rates USING (service_id)
WHERE long_rates.length = long AND short_rates.length = short
UNION ALL
SELECT service_id, policy_id, version, 'spent', 'ticket', NULL, NULL, NULL, NULL, left_seconds, is_spent, is_spent
FROM applied
JOIN budgets USING (service_id)
CROSS JOIN LATERAL (SELECT spent_seconds > 0 AND left_seconds <= 0 AS is_spent) AS state
$$;

-- The data of the events of an alert.
CREATE OR REPLACE FUNCTION sla_alert_json(alert sla_alerts) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_object('alertId', alert.id,
                              'serviceId', alert.service_id,
                              'severity', alert.severity,
                              'policy', jsonb_build_object('id', alert.policy_id, 'version', alert.version),
                              'windowSeconds', alert.window_seconds,
                              'shortWindowSeconds', alert.short_window_seconds,
                              'threshold', alert.threshold,
                              'burnRate', round(alert.burn_rate, 3),
                              'budgetLeftSeconds', round(alert.left_seconds, 3),
                              'startedAt', iso_time(alert.started_at),
                              'endedAt', iso_time(alert.ended_at));

-- Begins and ends alerts, and appends an event for each: budget-burning, budget-spent, budget-burning-ended and
-- budget-spent-ended. Returns the number of events. An alert ends, too, if its policy version applies no longer. The state is
-- in sla_alerts only, so that a restart repeats no event, and two workers at the same time begin an alert once.
CREATE OR REPLACE FUNCTION turn_alerts() RETURNS integer
    LANGUAGE plpgsql AS
$$
DECLARE
    changed sla_alerts[];
BEGIN
    WITH judged AS MATERIALIZED (
        SELECT * FROM sla_judged_alerts() WHERE begins OR lasts
    ), ended AS (
        UPDATE sla_alerts SET ended_at = present()
        WHERE ended_at IS NULL
          AND NOT EXISTS (SELECT
                          FROM judged
                          WHERE (judged.service_id, judged.policy_id, judged.version)
                                = (sla_alerts.service_id, sla_alerts.policy_id, sla_alerts.version)
                            AND judged.window_seconds IS NOT DISTINCT FROM sla_alerts.window_seconds AND lasts)
        RETURNING sla_alerts
    ), begun AS (
        INSERT INTO sla_alerts (service_id, kind, severity, window_seconds, short_window_seconds, threshold, policy_id, version, burn_rate,
                                left_seconds)
        SELECT service_id, kind, severity, window_seconds, short_window_seconds, threshold, policy_id, version, burn_rate, left_seconds
        FROM judged
        WHERE begins
        ORDER BY service_id, window_seconds
        ON CONFLICT (service_id, policy_id, version, window_seconds) WHERE ended_at IS NULL DO NOTHING
        RETURNING sla_alerts
    )
    SELECT array_agg(alert) INTO changed
    FROM (SELECT sla_alerts AS alert FROM ended UNION ALL SELECT sla_alerts FROM begun) AS both_kinds;

    IF changed IS NOT NULL THEN
        PERFORM lock_events();
        INSERT INTO events (event, room, data)
        SELECT 'budget-' || kind || CASE WHEN ended_at IS NULL THEN '' ELSE '-ended' END, 'staff', sla_alert_json(alert)
        FROM unnest(changed) AS alert
        ORDER BY ended_at, id;
    END IF;
    RETURN coalesce(cardinality(changed), 0);
END
$$;
