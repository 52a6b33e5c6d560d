-- Deletes a holiday calendar; false if there is none.
SELECT delete_holidays(%(name)s)
