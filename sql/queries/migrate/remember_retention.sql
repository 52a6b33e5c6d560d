-- Keeps the time before which the former retention may have dropped checks, when the retention changes.
UPDATE installation SET complete_since = greatest(complete_since, present() - retention)
