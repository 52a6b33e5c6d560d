-- A row if there is any SLA policy, also one that has ended.
SELECT true AS exists FROM sla_policies LIMIT 1
