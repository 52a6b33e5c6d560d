-- Counts one action of `client` against a limit of `times` in a window, which begins with the first action. All API processes share
-- the count; concurrent ones wait for the row. A refusal changes nothing: further attempts do not extend the window or cause writes.
CREATE OR REPLACE FUNCTION count_against(limit_name text, client text, times integer, window_length interval,
                                         OUT allowed boolean, OUT remaining integer, OUT resets_at timestamptz)
    LANGUAGE plpgsql AS
$$
#variable_conflict use_column
BEGIN
    INSERT INTO rate_limits AS known (limit_name, client, count, resets_at)
    VALUES ($1, $2, 1, now() + window_length)
    ON CONFLICT (limit_name, client) DO UPDATE
        SET count     = CASE WHEN known.resets_at > now() THEN known.count + 1 ELSE 1 END,
            resets_at = CASE WHEN known.resets_at > now() THEN known.resets_at ELSE excluded.resets_at END
        WHERE known.resets_at <= now() OR known.count < times
    RETURNING true, times - known.count, known.resets_at INTO allowed, remaining, resets_at;
    IF NOT FOUND THEN
        SELECT false, 0, known.resets_at INTO allowed, remaining, resets_at
        FROM rate_limits AS known
        WHERE known.limit_name = $1 AND known.client = $2;
    ELSIF remaining = times - 1 THEN  -- a new window: some expired rows are deleted, so that the table stays small
        DELETE FROM rate_limits
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM rate_limits WHERE resets_at <= now()
                                ORDER BY resets_at LIMIT 10 FOR UPDATE SKIP LOCKED));
    END IF;
END
$$;

-- Undoes one count, such as that of a login with the correct password.
CREATE OR REPLACE FUNCTION give_back(limit_name text, client text) RETURNS void
    LANGUAGE sql AS
$$
UPDATE rate_limits AS known
SET count = known.count - 1
WHERE known.limit_name = $1 AND known.client = $2 AND known.count > 0 AND known.resets_at > now()
$$;
