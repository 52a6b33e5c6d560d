-- The version of one incident, locked against others who save. Comments may still be added.
SELECT version FROM incidents WHERE id = %(id)s FOR NO KEY UPDATE
