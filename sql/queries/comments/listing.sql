-- The newest comments on an incident, oldest first, at most 1000; `before` is the id of a comment for the previous ones.
SELECT incident_comment_json(comment, %(internal)s) AS comment
FROM (
    SELECT comment
    FROM incident_comments AS comment
    WHERE incident_id = %(incident_id)s
      AND (public OR %(internal)s)
      AND (%(before)s::bigint IS NULL OR id < %(before)s)
    ORDER BY id DESC
    LIMIT 1000
) AS newest
ORDER BY (comment).id
