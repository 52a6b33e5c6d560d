-- Creates the temporary table new_episodes, or empties it. STORAGE PLAIN: without a TOAST table, which would have to be
-- emptied at each commit too, this takes a third of the time. A message has at most 500 characters, so that a row fits
-- on a page.
CREATE OR REPLACE FUNCTION make_room_for_new_episodes() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    IF to_regclass('pg_temp.new_episodes') IS NULL THEN
        CREATE TEMP TABLE new_episodes (
            service_id    text STORAGE PLAIN COLLATE "C" NOT NULL,
            location      text STORAGE PLAIN COLLATE "C" NOT NULL,
            starts_at     timestamptz      NOT NULL,
            ends_at       timestamptz      NOT NULL,
            state         service_state    NOT NULL,
            error_type    text STORAGE PLAIN,
            error_message text STORAGE PLAIN,
            expires_at    timestamptz,
            estimated     boolean          NOT NULL DEFAULT false,
            kept          boolean          NOT NULL DEFAULT false,
            next_error_type    text STORAGE PLAIN,
            next_error_message text STORAGE PLAIN
        ) ON COMMIT DELETE ROWS;
        COMMENT ON COLUMN new_episodes.kept IS 'true if replace_episodes has added the row: time of known episodes that no new one replaces';
        COMMENT ON COLUMN new_episodes.next_error_type IS 'the error of the next check: the rest of a known episode that is cut begins with it';
    END IF;
    DELETE FROM new_episodes;
END
$$;

-- Replaces the rows of `episodes` for the times of new_episodes. Known episodes of other times stay, and adjacent
-- episodes of one state are merged.
CREATE OR REPLACE FUNCTION replace_episodes() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM cut_known_episodes();

    -- The gap between a new episode and the next one is unknown time.
    INSERT INTO new_episodes (service_id, location, starts_at, ends_at, state, expires_at, estimated, kept)
    SELECT service_id, location, ends_at, following, 'unknown', expires_at, estimated, true
    FROM (
        SELECT service_id, location, ends_at, expires_at, estimated,
               least(lead(starts_at) OVER (PARTITION BY service_id, location ORDER BY starts_at),
                     (SELECT min(later.starts_at)
                      FROM episodes AS later
                      WHERE later.service_id = new_episodes.service_id AND later.location = new_episodes.location
                        AND later.starts_at >= new_episodes.ends_at)) AS following
        FROM new_episodes
    ) AS followed
    WHERE ends_at < following;

    INSERT INTO episodes (service_id, location, starts_at, ends_at, state, error_type, error_message, expires_at, estimated)
    SELECT DISTINCT ON (service_id, location, number)
           service_id, location, starts_at,
           nullif(max(ends_at) OVER (PARTITION BY service_id, location, number), 'infinity'),
           state, error_type, error_message, CASE WHEN state = 'unknown' THEN expires_at END, estimated
    FROM (
        SELECT turns.*, count(*) FILTER (WHERE is_turn) OVER (PARTITION BY service_id, location ORDER BY starts_at) AS number
        FROM (
            SELECT new_episodes.*,
                   (state, estimated) IS DISTINCT FROM (lag(state) OVER run, lag(estimated) OVER run)
                       OR starts_at IS DISTINCT FROM lag(ends_at) OVER run AS is_turn
            FROM new_episodes
            WINDOW run AS (PARTITION BY service_id, location ORDER BY starts_at)
        ) AS turns
    ) AS numbered
    ORDER BY service_id, location, number, starts_at;
END
$$;

-- A step of replace_episodes: deletes the episodes that new_episodes overlap or touch, and adds to new_episodes the
-- parts of them that no new one replaces. What changes of the past is kept in former_episodes, but not during an upgrade, which
-- replaces estimates.
CREATE OR REPLACE FUNCTION cut_known_episodes() RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    -- The planner assumes hundreds of rows in a temporary table, and would read the episodes of all services.
    changed_services CONSTANT text[] := ARRAY(SELECT DISTINCT service_id FROM new_episodes);
    -- Not present(): the transaction may have waited for the recording lock.
    moment           CONSTANT timestamptz := present_clock();
BEGIN
    WITH replaced AS MATERIALIZED (
        SELECT service_id, location, range_agg(tstzrange(starts_at, ends_at)) AS times
        FROM new_episodes
        GROUP BY service_id, location
    ), removed AS (
        DELETE FROM episodes
        USING replaced CROSS JOIN LATERAL unnest(times) AS span
        WHERE episodes.service_id = ANY (changed_services)
          AND episodes.service_id = replaced.service_id AND episodes.location = replaced.location
          AND episodes.starts_at <= upper(span) AND (episodes.ends_at >= lower(span) OR episodes.ends_at IS NULL)
        RETURNING episodes.*
    ), remains AS (
        SELECT removed.*, span
        FROM removed
        JOIN replaced USING (service_id, location)
        CROSS JOIN LATERAL unnest(multirange(tstzrange(removed.starts_at, coalesce(removed.ends_at, 'infinity'))) - times) AS span
    ), changed AS (
        SELECT removed.service_id, removed.location, removed.state, removed.estimated,
               range_agg(tstzrange(greatest(removed.starts_at, new.starts_at), least(removed.ends_at, new.ends_at, moment))) AS spans
        FROM removed
        JOIN new_episodes AS new
          ON new.service_id = removed.service_id AND new.location = removed.location
         AND new.starts_at < coalesce(removed.ends_at, 'infinity') AND new.ends_at > removed.starts_at
        WHERE (new.state, new.estimated) IS DISTINCT FROM (removed.state, removed.estimated)
          AND greatest(removed.starts_at, new.starts_at) < moment
        GROUP BY removed.service_id, removed.location, removed.starts_at, removed.state, removed.estimated
        UNION ALL
        -- The time before the first episode: none was known.
        SELECT service_id, location, NULL, false, tstzmultirange(tstzrange(lower(times), least(first_episode, moment)))
        FROM replaced
        CROSS JOIN LATERAL (
            SELECT min(starts_at) AS first_episode
            FROM episodes
            WHERE episodes.service_id = replaced.service_id AND episodes.location = replaced.location
        ) AS known
        WHERE lower(times) < least(first_episode, moment)
    ), kept AS (
        INSERT INTO former_episodes (service_id, location, starts_at, ends_at, state, estimated, known_until)
        SELECT service_id, location, lower(span), upper(span), state, estimated, moment
        FROM changed
        CROSS JOIN LATERAL unnest(spans) AS span
        WHERE NOT upgrade_pending()
    )
    INSERT INTO new_episodes (service_id, location, starts_at, ends_at, state, error_type, error_message, expires_at, estimated, kept)
    SELECT remains.service_id, remains.location, lower(span), upper(span), remains.state,
           CASE WHEN before.service_id IS NULL THEN remains.error_type ELSE before.next_error_type END,
           CASE WHEN before.service_id IS NULL THEN remains.error_message ELSE before.next_error_message END,
           -- The part after a new episode begins with the next check, or is unknown since the last check of the new
           -- episode.
           coalesce(before.expires_at, remains.expires_at), remains.estimated, true
    FROM remains
    LEFT JOIN new_episodes AS before
        ON before.service_id = remains.service_id AND before.location = remains.location AND before.ends_at = lower(span)
       AND lower(span) > remains.starts_at;
END
$$;
