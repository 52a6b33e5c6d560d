-- The raw rows of chunks that lie wholly before a moment, which is the end of one.
SELECT count(*) FROM checks WHERE scheduled_at < %(older_than)s
