-- Whom the audit log puts the changes of this transaction down to.
SELECT act_as(%(kind)s, %(id)s, %(name)s, %(address)s::inet, %(request_id)s)
