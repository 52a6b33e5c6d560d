-- How many events lie between two numbers; `most` where there are more.
SELECT count(*) AS total
FROM (SELECT FROM events WHERE seq > %(after)s AND seq <= %(upto)s LIMIT %(most)s) AS between
