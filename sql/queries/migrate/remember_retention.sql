-- What the retention of until now may have dropped stays dropped under the next one.
UPDATE installation SET complete_since = greatest(complete_since, present() - retention)
