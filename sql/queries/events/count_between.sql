-- The number of events between two numbers, at most `most`.
SELECT count(*) AS total
FROM (SELECT FROM events WHERE seq > %(after)s AND seq <= %(upto)s LIMIT %(most)s) AS between
