-- Compresses the chunks of checks that end before a time, as the columnstore policy does.
SELECT count(compress_chunk(chunk)) FROM show_chunks('checks', older_than => %(older_than)s::timestamptz) AS chunk
