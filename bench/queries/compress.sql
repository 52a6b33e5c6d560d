-- What the columnstore policy does, at once.
SELECT count(compress_chunk(chunk)) FROM show_chunks('checks', older_than => %(older_than)s::timestamptz) AS chunk
