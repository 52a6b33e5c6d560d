-- Sets the actor of this transaction for the audit log.
SELECT act_as(%(kind)s, %(id)s, %(name)s, %(address)s::inet, %(request_id)s)
