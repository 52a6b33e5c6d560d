-- The version of one incident, which is locked against concurrent changes. Comments can still be added.
SELECT version FROM incidents WHERE id = %(id)s FOR NO KEY UPDATE
