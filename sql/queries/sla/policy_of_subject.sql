-- The id of the policy for a subject.
SELECT id FROM sla_policies WHERE scope = %(scope)s AND subject IS NOT DISTINCT FROM %(subject)s
