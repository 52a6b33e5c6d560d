"""SLA accounting: the functions sla_* of the database against an independent model."""
