-- Comments on incidents, and drafts.

-- One comment as JSON. The author is only shown to users who are logged in. Existing front ends read `content`,
-- `userName` and `timestamp`.
CREATE OR REPLACE FUNCTION incident_comment_json(comment incident_comments, internal boolean) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_object('id', comment.id, 'incidentId', comment.incident_id, 'text', comment.text, 'content', comment.text,
                              'public', comment.public, 'author', CASE WHEN internal THEN comment.author END,
                              'userName', CASE WHEN internal THEN comment.author END,
                              'userId', CASE WHEN internal THEN comment.author_id END,
                              'createdAt', iso_time(comment.created_at), 'timestamp', iso_time(comment.created_at));

-- The event for a comment, with the extra fields that the client has sent (queries/comments/carry.sql). Of the fields
-- of the event they can only replace `id`, by which the client recognises its own comment; the number of the comment is
-- then `commentId`.
CREATE OR REPLACE FUNCTION incident_comment_event(comment incident_comments) RETURNS jsonb
    LANGUAGE sql STABLE AS
$$
SELECT sent.fields || incident_comment_json(comment, true)
       || CASE
              WHEN sent.fields ? 'id' THEN jsonb_build_object('id', sent.fields -> 'id', 'commentId', comment.id)
              ELSE '{}'
          END
FROM (SELECT coalesce(nullif(current_setting('sla_monitor.comment_fields', true), ''), '{}')::jsonb AS fields) AS sent
$$;

-- Comments are numbered like updates, so that internal comments leave no gap in the numbers of public ones.
CREATE OR REPLACE FUNCTION number_comment() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    NEW.id := free_number(number_by_time(clock_timestamp()));
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER incident_comments_numbered
    BEFORE INSERT ON incident_comments
    FOR EACH ROW EXECUTE FUNCTION number_comment();

-- Only staff can join the room of an incident, so internal comments are sent there too.
CREATE OR REPLACE FUNCTION announce_comment() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM append_event('incident-comment', 'incident-' || NEW.incident_id,
                         jsonb_build_object('incidentId', NEW.incident_id, 'comment', incident_comment_event(NEW)));
    RETURN NULL;
END
$$;

DROP TRIGGER IF EXISTS incident_comments_announced ON incident_comments;
CREATE CONSTRAINT TRIGGER incident_comments_announced
    AFTER INSERT ON incident_comments DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION announce_comment();

-- A public comment is part of the incident's page: cached responses are invalidated. After a change or a deletion ('public-services')
-- the former comment must not be in a stale response either.
CREATE OR REPLACE FUNCTION announce_public_comment() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF (coalesce(OLD.public, false) OR coalesce(NEW.public, false))
        AND EXISTS (SELECT FROM incidents WHERE id = coalesce(NEW.incident_id, OLD.incident_id) AND public)
    THEN
        PERFORM pg_notify('sla_monitor', CASE TG_OP WHEN 'INSERT' THEN 'event' ELSE 'public-services' END);
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER incident_comments_shown
    AFTER INSERT OR UPDATE OR DELETE ON incident_comments
    FOR EACH ROW EXECUTE FUNCTION announce_public_comment();

-- Adds a comment, for routes and sockets. Raises foreign_key_violation if there is no such incident.
CREATE OR REPLACE FUNCTION add_comment(incident_id text, author_id uuid, author text, text text, public boolean) RETURNS incident_comments
    LANGUAGE sql AS
$$
INSERT INTO incident_comments (incident_id, author_id, author, text, public)
VALUES (add_comment.incident_id, add_comment.author_id, add_comment.author, add_comment.text, add_comment.public)
RETURNING *
$$;

-- Stores a draft and sends it to the room, except to the socket `origin`. Returns NULL if the user has saved the
-- incident since, so that the draft is outdated. Raises foreign_key_violation if there is no such incident,
-- check_violation if `data` is not an object or is too large.
CREATE OR REPLACE FUNCTION save_draft(incident_id text, user_id uuid, data jsonb, base_version integer, origin text) RETURNS timestamptz
    LANGUAGE plpgsql AS
$$
DECLARE
    saved_at CONSTANT timestamptz := clock_timestamp();
BEGIN
    INSERT INTO incident_drafts AS kept (incident_id, user_id, data, base_version, saved_at)
    VALUES (save_draft.incident_id, save_draft.user_id, save_draft.data, save_draft.base_version, saved_at)
    ON CONFLICT ON CONSTRAINT incident_drafts_pkey DO UPDATE
        SET data = excluded.data, base_version = coalesce(excluded.base_version, kept.base_version), saved_at = excluded.saved_at
        WHERE kept.data IS NOT NULL OR coalesce(excluded.base_version >= kept.base_version, true);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM append_event('auto-save', 'incident-' || incident_id,
                         jsonb_build_object('incidentId', incident_id, 'data', data, 'timestamp', iso_time(saved_at)), origin);
    RETURN saved_at;
END
$$;

CREATE OR REPLACE TRIGGER incident_comments_audited
    AFTER INSERT OR UPDATE OR DELETE ON incident_comments
    FOR EACH ROW EXECUTE FUNCTION audit_change('comment', '', 'author_id,created_at');
