-- Stores which file declares a policy, NULL: none.
UPDATE sla_policies SET declared_in = %(file)s WHERE id = %(id)s AND declared_in IS DISTINCT FROM %(file)s
