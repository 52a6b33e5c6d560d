-- Creates a holiday calendar or replaces its days.
SELECT save_holidays(%(name)s, %(days)s, %(names)s)
